"""Does by API what MiniStack's CloudFormation leaves out of the template: what AWS deploys has it."""

from collections.abc import Mapping
from typing import Any

from tools import template
from tools.ministack import MiniStack


def complete(ministack: MiniStack, api_id: str, table_names: Mapping[str, str]) -> None:
    """Make what is missing of tables, the API and queues; `table_names` is by variable."""
    _index_vectors(ministack, table_names)
    _expire_items(ministack, table_names)
    _answer_in_openai_s_envelope(ministack, api_id)
    _bound_concurrency(ministack)


def _index_vectors(ministack: MiniStack, table_names: Mapping[str, str]) -> None:
    """Make tables anew that have no indexes of vectors and should: those can't be added while a table is made."""
    dynamodb = ministack.aws.session().client("dynamodb", endpoint_url=ministack.endpoint_url)
    for variable, schema in template.tables(template.load()).items():
        name = table_names[variable]
        if "VectorIndexes" in schema.definition and not dynamodb.describe_table(TableName=name)["Table"].get(
            "VectorIndexes"
        ):
            # Nothing is in it: this is the first thing that is done with it.
            dynamodb.delete_table(TableName=name)
            definition: Any = schema.definition
            dynamodb.create_table(TableName=name, **definition)


def _expire_items(ministack: MiniStack, table_names: Mapping[str, str]) -> None:
    dynamodb = ministack.aws.session().client("dynamodb", endpoint_url=ministack.endpoint_url)
    for variable, schema in template.tables(template.load()).items():
        name = table_names[variable]
        status = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
        if schema.ttl_attribute and status == "DISABLED":
            dynamodb.update_time_to_live(
                TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": schema.ttl_attribute}
            )


def _answer_in_openai_s_envelope(ministack: MiniStack, api_id: str) -> None:
    gateway = ministack.aws.session().client("apigateway", endpoint_url=ministack.endpoint_url)
    body = template.load()["Resources"]["Api"]["Properties"]["DefinitionBody"]
    for kind, response in body["x-amazon-apigateway-gateway-responses"].items():
        more = {"statusCode": str(response["statusCode"])} if "statusCode" in response else {}
        gateway.put_gateway_response(
            restApiId=api_id,
            responseType=kind,
            responseParameters=response.get("responseParameters", {}),
            responseTemplates=response["responseTemplates"],
            **more,
        )
    gateway.create_deployment(restApiId=api_id, stageName="live")


def _bound_concurrency(ministack: MiniStack) -> None:
    # It takes a parameter's value for a text, and then cannot compare with it.
    functions = ministack.aws.session().client("lambda", endpoint_url=ministack.endpoint_url)
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if most := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
            functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(most)})
