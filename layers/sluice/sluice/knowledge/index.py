"""Indexes of vectors: what finds the nearest ones, as DynamoDB's native vector indexes do.

scope       acme#vs_0193...#text-embedding-3-small#1     tenant, store, model, generation
chunk       <key of a document>#<revision>#00012
kind        the kind of the document, which a search can be narrowed to
v1536       the vector as whole numbers, under the name of the index that takes it

An index's shape can't be changed, and a table has five: for 256, 768, 1,024, 1,536 and 3,072 dimensions. A vector of
another length is filled up with zeros to the next, which changes no cosine.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from sluice.embeddings.vectors import Vector
from sluice.errors import InvalidRequestError
from sluice.knowledge.quantization import quantized
from sluice.knowledge.table import write_all
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import from_item, to_item, to_typed
from sluice.storage.tables import VECTORS

SIZES = (256, 768, 1_024, 1_536, 3_072)
"""The dimensions that there are indexes for."""
MOST_FOUND = 100
"""How many a search finds at most: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html."""
_NUMBER_DIGITS = 5


class ChunkKey(NamedTuple):
    """A chunk of a document's revision."""

    document: str
    revision: str
    number: int

    def __str__(self) -> str:
        return f"{self.document}#{self.revision}#{self.number:0{_NUMBER_DIGITS}d}"

    @classmethod
    def of(cls, text: str) -> "ChunkKey":
        """The chunk that a text names."""
        document, revision, number = text.split("#")
        return cls(document, revision, int(number))


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk, and the cosine of its vector and the one that was searched by."""

    key: ChunkKey
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What to look for: chunks near a `vector`, of documents of a `kind` if one is named."""

    vector: Vector
    most: int
    kind: str = ""


class VectorIndex(Protocol):
    """Keeps the vectors of all stores and finds those that are near. All methods raise StorageUnavailableError.

    A scope is a store's generation: nothing of one is found in another.
    """

    def put(
        self, store: VectorStore, generation: Generation, kind: str, vectors: Iterable[tuple[ChunkKey, Vector]]
    ) -> None:
        """Write vectors, each in place of one that there is. Raises ValueError for one that points nowhere."""

    def delete(self, store: VectorStore, generation: Generation, keys: Iterable[ChunkKey]) -> None:
        """Delete vectors, those that there are."""

    def search(self, store: VectorStore, generation: Generation, nearest: Nearest) -> Sequence[Found]:
        """The nearest chunks, the nearest first."""

    def vectors(
        self, store: VectorStore, generation: Generation, prefix: str = ""
    ) -> Iterator[tuple[ChunkKey, Vector]]:
        """All vectors of a generation, those of chunks whose names begin with `prefix`, in the order of their names."""


def size_for(dimensions: int) -> int:
    """The dimensions of the index that takes vectors of so many. Raises InvalidRequestError if none does."""
    found = next((size for size in SIZES if dimensions <= size), None)
    if found is None or dimensions < 1:
        raise InvalidRequestError(
            f"embedding_model: its vectors have {dimensions} dimensions; a store takes 1 to {SIZES[-1]:,}.",
            param="embedding_model",
        )
    return found


class DynamoDBVectorIndex:
    """Vectors in a table of DynamoDB with vector indexes. Threads may share it."""

    def __init__(self, table: str, client: DynamoDB) -> None:
        self._table = table
        self._client = client

    def put(
        self, store: VectorStore, generation: Generation, kind: str, vectors: Iterable[tuple[ChunkKey, Vector]]
    ) -> None:
        """See VectorIndex.put."""
        scope, size = _scope(store, generation), size_for(generation.dimensions)
        write_all(
            self._client,
            self._table,
            (
                {
                    "PutRequest": {
                        "Item": VECTORS.key(scope, str(key))
                        | to_item({"kind": kind, _attribute(size): _filled(quantized(vector), size)})
                    }
                }
                for key, vector in vectors
            ),
        )

    def delete(self, store: VectorStore, generation: Generation, keys: Iterable[ChunkKey]) -> None:
        """See VectorIndex.delete."""
        scope = _scope(store, generation)
        write_all(self._client, self._table, ({"DeleteRequest": {"Key": VECTORS.key(scope, str(key))}} for key in keys))

    def search(self, store: VectorStore, generation: Generation, nearest: Nearest) -> Sequence[Found]:
        """See VectorIndex.search."""
        size = size_for(generation.dimensions)
        names, values = {"#scope": VECTORS.partition}, {":scope": _scope(store, generation)}
        condition = "#scope = :scope"
        if nearest.kind:
            names["#kind"], values[":kind"] = "kind", nearest.kind
            condition += " AND #kind = :kind"
        answer = self._client.call(
            "SearchVectors",
            {
                "TableName": self._table,
                "IndexName": index_name(size),
                "SearchVector": [to_typed(float(number)) for number in _filled(nearest.vector, size)],
                "TopK": min(nearest.most, MOST_FOUND),
                "SearchConditionExpression": condition,
                "ProjectionExpression": "#chunk",
                "ExpressionAttributeNames": {**names, "#chunk": VECTORS.sort},
                "ExpressionAttributeValues": to_item(values),
            },
        )
        # COSINE is a distance, from 0 to 2.
        return [
            Found(ChunkKey.of(from_item(each["Item"])[VECTORS.sort]), 1.0 - float(each["Score"]))
            for each in answer["SearchResults"]
        ]

    def vectors(
        self, store: VectorStore, generation: Generation, prefix: str = ""
    ) -> Iterator[tuple[ChunkKey, Vector]]:
        """See VectorIndex.vectors."""
        attribute = _attribute(size_for(generation.dimensions))
        values = {":scope": _scope(store, generation)}
        names = {"#scope": VECTORS.partition, "#chunk": VECTORS.sort, "#vector": attribute}
        condition = "#scope = :scope"
        if prefix:
            values[":prefix"] = prefix
            condition += " AND begins_with(#chunk, :prefix)"
        request = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ProjectionExpression": "#chunk, #vector",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_item(values),
        }
        for item in map(from_item, self._client.query(request)):
            yield ChunkKey.of(item[VECTORS.sort]), item.get(attribute, [])


def index_name(size: int) -> str:
    """What the index for vectors of so many dimensions is called."""
    return f"by-vector-{size}"


def _attribute(size: int) -> str:
    return f"v{size}"


def _scope(store: VectorStore, generation: Generation) -> str:
    """Where a generation's vectors are. The tenant is in it, and comes from the store, which only its tenant finds."""
    return f"{store.tenant}#{store.id}#{generation.model}#{generation.number}"


def _filled(vector: Vector, size: int) -> list[float]:
    return [*vector, *[0] * (size - len(vector))]
