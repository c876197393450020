"""Objects in an S3 bucket: written and read in pieces, so that no file is in memory whole.

Through boto3, which Lambda's runtime has: it is imported when the first store is made, which few requests need.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from sluice.errors import StorageUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_PIECE_BYTES = 1024 * 1024
# S3 takes parts of 5 MiB or more, but for the last.
_PART_BYTES = 8 * 1024 * 1024
_MISSING = {"404", "NoSuchKey", "NotFound"}


class ObjectMissingError(Exception):
    """There is no such object."""


class ObjectStore:
    """The objects of one bucket. Threads may share it.

    All methods raise StorageUnavailableError, and those that read ObjectMissingError.
    """

    def __init__(self, bucket: str) -> None:
        import boto3
        from botocore.config import Config

        self._bucket = bucket
        # The region's own host: a new bucket's name is not known elsewhere at first.
        style: Literal["auto", "virtual"] = "auto" if os.environ.get("AWS_ENDPOINT_URL") else "virtual"
        config = Config(
            s3={"addressing_style": style},
            signature_version="s3v4",
            connect_timeout=2,
            read_timeout=20,
            retries={"mode": "standard", "max_attempts": 4},
        )
        self._client: S3Client = boto3.client("s3", config=config)

    def put(self, key: str, body: bytes, media_type: str = "application/octet-stream") -> None:
        """Write an object."""
        with _failures("writing a file"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=media_type)

    def size(self, key: str) -> int:
        """How many bytes an object has."""
        with _failures("looking at a file"):
            return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]

    def read(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` until before `end`."""
        with _failures("reading a file"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{end - 1}")
            return answer["Body"].read()

    def pieces(self, key: str) -> Iterator[bytes]:
        """An object, piece by piece."""
        with _failures("reading a file"):
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            yield from iter(lambda: body.read(_PIECE_BYTES), b"")

    def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        with _failures("deleting a file"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def writer(self, key: str) -> "ObjectWriter":
        """Write an object in pieces: it is there when the block has ended well, and not before."""
        return ObjectWriter(self._client, self._bucket, key)

    def download_url(self, key: str, filename: str, lifetime_s: int) -> str:
        """A URL that an object can be read from, by everybody who has it."""
        asked = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{_plain(filename)}"',
        }
        with _failures("signing a URL"):
            return self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=lifetime_s)

    def upload_url(self, key: str, size: int, lifetime_s: int) -> str:
        """A URL that an object of `size` bytes can be put to, by everybody who has it."""
        asked = {"Bucket": self._bucket, "Key": key, "ContentLength": size}
        with _failures("signing a URL"):
            return self._client.generate_presigned_url("put_object", Params=asked, ExpiresIn=lifetime_s)


class ObjectWriter:
    """An object in the making. `size` is what was written so far, in bytes."""

    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        self.size = 0
        self._client = client
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload_id = ""
        self._parts: list[CompletedPartTypeDef] = []

    def write(self, piece: bytes) -> None:
        """Add to it."""
        self.size += len(piece)
        self._buffer += piece
        while len(self._buffer) >= _PART_BYTES:
            self._send(bytes(self._buffer[:_PART_BYTES]))
            del self._buffer[:_PART_BYTES]

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return  # what was begun is removed by a rule of the bucket
        with _failures("writing a file"):
            if not self._upload_id:
                self._client.put_object(**self._place, Body=bytes(self._buffer))
                return
            if self._buffer:
                self._send(bytes(self._buffer))
            self._client.complete_multipart_upload(
                **self._place, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
            )

    def _send(self, part: bytes) -> None:
        with _failures("writing a file"):
            if not self._upload_id:
                self._upload_id = self._client.create_multipart_upload(**self._place)["UploadId"]
            number = len(self._parts) + 1
            answer = self._client.upload_part(**self._place, UploadId=self._upload_id, PartNumber=number, Body=part)
            self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})


@contextmanager
def _failures(what: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise ObjectMissingError(what) from None
        # Not S3's own message, which names the object.
        raise StorageUnavailableError(f"{what} failed: {code or 'S3 refuses'}") from None
    except BotoCoreError as error:
        raise StorageUnavailableError(f"{what} failed: {type(error).__name__}") from None


def _plain(filename: str) -> str:
    return "".join(letter for letter in filename if letter.isascii() and letter.isprintable() and letter not in '"\\')
