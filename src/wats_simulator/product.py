"""Products, revisions, box build relations, bills of material, groups, categories and vendors."""

from __future__ import annotations

import html
import re
from typing import Any

from wats_simulator import odata

from .call import Call, Json, Refused, Reply, Route, found, picked, read, write
from .state import WATSState, fold

_DELETED = "3"  # the SDK's ChangeType.DELETE: a tag to be removed
_ATTRIBUTE = re.compile(r'([\w:]+)\s*=\s*"([^"]*)"')


def ensure_revision(state: WATSState, part_number: str, revision: str = "", name: str = "") -> Json:
    """Return the product, made if there is none, with this revision, made if there is none."""
    key = fold(part_number)
    if not key:
        raise Refused(400, "partNumber is required")
    product = state.products.get(key)
    if product is None:
        product = state.products[key] = {
            "partNumber": part_number,
            "name": name or part_number,
            "description": "",
            "nonSerial": False,
            "state": 1,
            "productId": state.new_id(),
            "revisions": [],
            "tags": [],
        }
    if revision and find_revision(product, revision) is None:
        product["revisions"].append(
            {
                "revision": revision,
                "name": revision,
                "description": "",
                "state": 1,
                "productRevisionId": state.new_id(),
                "productId": product["productId"],
                "partNumber": product["partNumber"],
                "tags": [],
            }
        )
    return product


def find_revision(product: Json, revision: str) -> Json | None:
    """Return the revision of the product, or None."""
    return next((one for one in product["revisions"] if fold(one["revision"]) == fold(revision)), None)


def groups_of(state: WATSState, part_number: str) -> list[Json]:
    """Return the product groups whose filters match the part number."""
    return [group for group in state.product_groups.values() if in_group(group, part_number)]


def in_group(group: Json, part_number: str) -> bool:
    """Tell whether a filter of the group matches; `%` stands for any text."""
    return any(like(part_number, one["partNumber"]) for one in group["filters"])


def like(text: str, pattern: str) -> bool:
    """Compare as the server's filters do: without case, `%` for any text, alternatives separated by `;`."""
    for one in pattern.split(";"):
        expression = ".*".join(re.escape(part) for part in fold(one).split("%"))
        if re.fullmatch(expression, fold(text), re.DOTALL):
            return True
    return False


def _product(call: Call, part_number: str) -> Json:
    product: Json = found(call.state.products.get(fold(part_number)), f"product {part_number!r}")
    return product


def _revision(call: Call, part_number: str, revision: str) -> Json:
    what = f"revision {revision!r} of {part_number!r}"
    one: Json = found(find_revision(_product(call, part_number), revision), what)
    return one


def _merge(target: Json, fields: Json) -> None:
    """Take over what was sent; empty lists mean unchanged, since the SDK sends them for fields nobody set."""
    for key, value in fields.items():
        if key == "tags":
            if value:
                target["tags"] = [_tag(tag) for tag in value if str(tag.get("change")) != _DELETED]
        elif key not in ("revisions", "productId", "productRevisionId"):
            target[key] = value


def _tag(tag: Json) -> Json:
    return {"key": str(picked(tag, "key") or ""), "value": picked(tag, "value")}


def _save_product(call: Call, fields: Json) -> Json:
    product = ensure_revision(call.state, str(picked(fields, "partNumber") or ""))
    _merge(product, fields)
    for one in fields.get("revisions") or ():
        _save_revision(call, {**one, "partNumber": product["partNumber"]})
    return product


def _save_revision(call: Call, fields: Json) -> Json:
    name = str(picked(fields, "revision") or "")
    if not name:
        raise Refused(400, "revision is required")
    part_number = str(picked(fields, "partNumber") or "")
    if not part_number:
        owner = fields.get("productId")
        part_number = next((p["partNumber"] for p in call.state.products.values() if p["productId"] == owner), "")
    product = ensure_revision(call.state, part_number, name)
    revision: Json = found(find_revision(product, name), name)
    _merge(revision, fields)
    return revision


def query_products(call: Call) -> Any:
    return odata.query(call, call.state.products.values())


def get_product(call: Call) -> Any:
    return _product(call, call.params["part_number"])


def get_revision(call: Call) -> Any:
    return _revision(call, call.params["part_number"], call.params["revision"])


def save_product(call: Call) -> Any:
    return _save_product(call, call.object())


def save_products(call: Call) -> Any:
    return [_save_product(call, fields) for fields in call.objects()]


def save_revision(call: Call) -> Any:
    return _save_revision(call, call.object())


def save_revisions(call: Call) -> Any:
    return [_save_revision(call, fields) for fields in call.objects()]


def delete_product(call: Call) -> Any:
    product = _product(call, call.params["part_number"])
    serials = _serials_of(call, product["partNumber"])
    if serials:
        product["state"] = 0
        return {"serialNumbers": serials}
    del call.state.products[fold(product["partNumber"])]
    return Reply(status=204)


def delete_revision(call: Call) -> Any:
    product = _product(call, call.params["part_number"])
    revision = _revision(call, product["partNumber"], call.params["revision"])
    serials = _serials_of(call, product["partNumber"], revision["revision"])
    if serials:
        revision["state"] = 0
        return {"serialNumbers": serials}
    product["revisions"].remove(revision)
    return Reply(status=204)


def _serials_of(call: Call, part_number: str, revision: str = "") -> list[str]:
    return [
        unit["serialNumber"]
        for unit in call.state.units.values()
        if fold(unit["partNumber"]) == fold(part_number) and (not revision or fold(unit["revision"]) == fold(revision))
    ]


def get_product_tags(call: Call) -> Any:
    return _product(call, call.query("partNumber"))["tags"]


def get_revision_tags(call: Call) -> Any:
    return _revision(call, call.query("partNumber"), call.query("revision"))["tags"]


def put_product_tags(call: Call) -> Any:
    product = _product(call, call.query("partNumber"))
    product["tags"] = [_tag(tag) for tag in call.objects()]
    return product


def put_revision_tags(call: Call) -> Any:
    revision = _revision(call, call.query("partNumber"), call.query("revision"))
    revision["tags"] = [_tag(tag) for tag in call.objects()]
    return revision


# Box build: which revisions a revision contains.


def get_hierarchy(call: Call) -> Any:
    product = _product(call, call.query("partNumber"))
    top = _revision(call, product["partNumber"], call.query("revision"))
    rows = [{"hlevel": 0, "PartNumber": product["partNumber"], "Revision": top["revision"], "Name": product["name"]}]
    rows += [{"hlevel": 1, **row} for row in _relations(call, top["productRevisionId"])]
    return rows


def get_product_with_relations(call: Call) -> Any:
    product = _product(call, call.query("PN"))
    rows = [row for one in product["revisions"] for row in _relations(call, one["productRevisionId"])]
    return {**product, "productRevisionRelations": rows}


def _relations(call: Call, parent_id: str) -> list[Json]:
    rows = call.state.revision_relations.values()
    return [row for row in rows if row["ParentProductRevisionId"] == parent_id]


def post_relation(call: Call) -> Any:
    fields = call.object()
    relation = {
        "ProductRevisionRelationId": call.state.new_id(),
        "ParentProductRevisionId": str(picked(fields, "ParentProductRevisionId") or ""),
        "ProductRevisionId": str(picked(fields, "ProductRevisionId") or ""),
        "Quantity": picked(fields, "Quantity") or 1,
        "ItemNumber": picked(fields, "ItemNumber"),
        "RevisionMask": picked(fields, "RevisionMask"),
    }
    relation.update(_child(call, relation["ProductRevisionId"]))
    call.state.revision_relations[relation["ProductRevisionRelationId"]] = relation
    return _relations(call, relation["ParentProductRevisionId"])


def _child(call: Call, revision_id: str) -> Json:
    for product in call.state.products.values():
        for one in product["revisions"]:
            if one["productRevisionId"] == revision_id:
                names = {"PartNumber": product["partNumber"], "Revision": one["revision"]}
                return {**names, "ChildPartNumber": names["PartNumber"], "ChildRevision": names["Revision"]}
    raise Refused(404, f"product revision {revision_id!r} does not exist")


def put_relation(call: Call) -> Any:
    fields = call.object()
    relation_id = str(picked(fields, "ProductRevisionRelationId") or "")
    relation: Json = found(call.state.revision_relations.get(relation_id), f"relation {relation_id!r}")
    relation.update(fields)
    return relation


def delete_relation(call: Call) -> Any:
    relation_id = call.query("productRevisionRelationId")
    found(call.state.revision_relations.pop(relation_id, None), f"relation {relation_id!r}")
    return Reply(status=204)


# Bills of material.


def get_bom(call: Call) -> Any:
    part_number, revision = call.query("partNumber"), call.query("revision")
    components = call.state.boms.get((fold(part_number), fold(revision)), [])
    return {
        "partNumber": part_number,
        "revision": revision,
        "description": f"BOM of {part_number}",
        "components": components,
    }


def get_bom_items(call: Call) -> Any:
    key = (fold(call.query("partNumber")), fold(call.query("revision")))
    return [
        {
            "partNumber": one.get("number"),
            "componentRef": one.get("reference"),
            "quantity": one.get("quantity") or 1,
            "description": one.get("description"),
            "manufacturerPn": one.get("revision"),
        }
        for one in call.state.boms.get(key, [])
    ]


def put_bom(call: Call) -> Any:
    text = call.text().lstrip()
    if text.startswith("<"):
        return _store_bom(call, *_bom_of_xml(text))
    bom = call.object()
    part_number, revision = picked(bom, "partNumber"), picked(bom, "revision")
    return _store_bom(call, str(part_number or ""), str(revision or ""), picked(bom, "components") or [])


def _bom_of_xml(text: str) -> tuple[str, str, list[Json]]:
    head = attributes(text, "BOM")
    rows = [attributes(part, "Component") for part in text.split("<Component")[1:]]
    names = {"Number": "number", "Rev": "revision", "Qty": "quantity", "Desc": "description", "Ref": "reference"}
    components = [{names[key]: value for key, value in row.items() if key in names} for row in rows]
    return head.get("Partnumber", ""), head.get("Revision", ""), components


def attributes(text: str, element: str) -> dict[str, str]:
    """Return the attributes of the first such element; `text` may also begin behind the element's name."""
    start = re.search(rf"<{element}\b", text)
    tag = text[start.end() if start else 0 :].partition(">")[0]
    return {key: html.unescape(value) for key, value in _ATTRIBUTE.findall(tag)}


def put_bom_items(call: Call) -> Any:
    components = [
        {
            "number": picked(row, "partNumber", "number"),
            "reference": picked(row, "componentRef", "reference"),
            "quantity": picked(row, "quantity"),
            "description": picked(row, "description"),
            "revision": picked(row, "manufacturerPn", "revision"),
        }
        for row in call.objects()
    ]
    return _store_bom(call, call.query("partNumber"), call.query("revision"), components)


def _store_bom(call: Call, part_number: str, revision: str, components: list[Json]) -> Json:
    ensure_revision(call.state, part_number, revision)
    call.state.boms[(fold(part_number), fold(revision))] = components
    return {"partNumber": part_number, "revision": revision, "count": len(components)}


ROUTES: tuple[Route, ...] = (
    read("GET", "/api/Product/Query", query_products, "product", "catalog"),
    read("GET", "/api/Product/{part_number}", get_product, "product", "catalog"),
    read("GET", "/api/Product/{part_number}/{revision}", get_revision, "product"),
    read("GET", "/api/internal/Product/GetProductTags", get_product_tags, "product"),
    read("GET", "/api/internal/Product/GetRevisionTags", get_revision_tags, "product"),
    read("GET", "/api/internal/Product/GetProductInfo", get_hierarchy, "product"),
    read("GET", "/api/internal/Product/GetProductByPN", get_product_with_relations, "product", "catalog"),
    read("GET", "/api/Product/BOM", get_bom, "bom"),
    read("GET", "/api/internal/Product/Bom", get_bom_items, "bom"),
    *(
        write(method, template, handler, "product", "bom", "product-group", "report", "unit")
        for method, template, handler in (
            ("PUT", "/api/Product", save_product),
            ("PUT", "/api/Product/Products", save_products),
            ("PUT", "/api/Product/Revision", save_revision),
            ("PUT", "/api/Product/Revisions", save_revisions),
            ("DELETE", "/api/Product/{part_number}", delete_product),
            ("DELETE", "/api/Product/{part_number}/{revision}", delete_revision),
            ("PUT", "/api/internal/Product/PutProductTags", put_product_tags),
            ("PUT", "/api/internal/Product/PutRevisionTags", put_revision_tags),
        )
    ),
    *(
        write(method, template, handler, "product", "bom", "product-group", "unit")
        for method, template, handler in (
            ("POST", "/api/internal/Product/PostProductRevisionRelation", post_relation),
            ("PUT", "/api/internal/Product/PutProductRevisionRelation", put_relation),
            ("DELETE", "/api/internal/Product/DeleteProductRevisionRelation", delete_relation),
        )
    ),
    *(
        write("PUT", template, handler, "bom", "product", "catalog", "product-group", "report")
        for template, handler in (("/api/Product/BOM", put_bom), ("/api/internal/Product/BOM", put_bom_items))
    ),
)
