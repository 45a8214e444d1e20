from api.support import Floor


async def test_what_is_published_is_served(floor: Floor) -> None:
    """To anybody: the list of topics and types, each schema by the name that documents bear, the document."""
    listed = (await floor.get("/schemas", None)).json
    named = listed["documents"]["agents/{id}"]["schema"]
    assert named == listed["events"]["ctid.agent.changed"]["schema"] == "ctid.agent/1"
    schema = await floor.get(f"/schemas/{named}", None)
    assert schema.json["properties"]["schema"]["enum"] == [named]
    assert schema.headers["Content-Type"].startswith("application/json")
    document = (await floor.get("/asyncapi.json", None)).json
    assert (document["asyncapi"], document["info"]["version"]) == ("3.0.0", "9.9.9")
    assert (await floor.get("/schemas/ctid.agent/99", None)).status == 404
