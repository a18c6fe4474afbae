"""Product groups, product categories and vendors: the lists beside the products."""

from __future__ import annotations

from typing import Any

from .call import Call, Json, Refused, Reply, Route, found, picked, read, write
from .product import groups_of
from .state import WATSState


def add_group(state: WATSState, name: str, pattern: str, description: str = "", public: bool = True) -> Json:
    """Add a product group of the part numbers like `pattern`, with `%` for any text."""
    number = max(state.product_groups, default=0) + 1
    rule = {"id": number, "productGroupId": number, "partNumber": pattern, "revision": "%"}
    group = {
        "id": number,
        "name": name,
        "productGroupId": number,
        "productGroupName": name,
        "description": description,
        "isPublic": public,
        "filters": [rule],
    }
    state.product_groups[number] = group
    return group


def get_groups(call: Call) -> Any:
    return list(call.state.product_groups.values())


def get_product_groups(call: Call) -> Any:
    wanted = call.number("id")
    return [group for number, group in call.state.product_groups.items() if wanted in (0, number)]


def get_group_filters(call: Call) -> Any:
    group, rule = call.number("productGroupId"), call.number("id")
    rules = [one for each in call.state.product_groups.values() for one in each["filters"]]
    return [one for one in rules if group in (0, one["productGroupId"]) and rule in (0, one["id"])]


def get_groups_of_product(call: Call) -> Any:
    return groups_of(call.state, call.query("partNumber"))


def save_group(call: Call) -> Any:
    fields = call.object()
    number = picked(fields, "id", "productGroupId")
    name = picked(fields, "name", "productGroupName")
    if number is None:
        if not name:
            raise Refused(400, "the name of the group is required")
        public = bool(fields.get("isPublic", True))
        return add_group(call.state, str(name), "%", str(fields.get("description") or ""), public)
    group: Json = found(call.state.product_groups.get(int(number)), f"product group {number}")
    if name:
        group["name"] = group["productGroupName"] = name
    group.update({key: fields[key] for key in ("description", "isPublic") if key in fields})
    return group


def delete_group(call: Call) -> Any:
    text = call.params["group_id"]
    number = int(text) if text.isdecimal() else -1
    found(call.state.product_groups.pop(number, None), f"product group {text!r}")
    return Reply(status=204)


def get_categories(call: Call) -> Any:
    return call.state.categories


def put_categories(call: Call) -> Any:
    for fields in call.objects():
        wanted = picked(fields, "categoryId")
        known = next((one for one in call.state.categories if one["categoryId"] == wanted), None)
        if known is None:
            call.state.categories.append({"categoryId": wanted or call.state.new_id(), **fields})
        else:
            known.update(fields)
    return {"count": len(call.state.categories)}


def get_vendors(call: Call) -> Any:
    return list(call.state.vendors.values())


def save_vendor(call: Call) -> Any:
    fields = call.object()
    vendor_id = str(picked(fields, "vendorId") or call.state.new_id())
    vendor = call.state.vendors.setdefault(vendor_id, {"vendorId": vendor_id})
    vendor.update(fields)
    return vendor


def delete_vendor(call: Call) -> Any:
    vendor_id = call.params["vendor_id"]
    found(call.state.vendors.pop(vendor_id, None), f"vendor {vendor_id!r}")
    return Reply(status=204)


_GROUP_WRITES = ("product-group", "product", "report")

ROUTES: tuple[Route, ...] = (
    read("GET", "/api/Product/Groups", get_groups, "product-group"),
    read("GET", "/api/App/ProductGroups", get_groups, "product-group"),
    read("GET", "/api/Product/ProductGroup", get_product_groups, "product-group"),
    read("GET", "/api/Product/ProductGroupFilter", get_group_filters, "product-group"),
    read("GET", "/api/Product/ProductGroupsByProduct", get_groups_of_product, "product-group"),
    read("GET", "/api/internal/Product/GetGroupsForProduct", get_groups_of_product, "product-group"),
    write("PUT", "/api/Product/Group", save_group, *_GROUP_WRITES),
    write("POST", "/api/Product/ProductGroup", save_group, *_GROUP_WRITES),
    write("PUT", "/api/Product/ProductGroup", save_group, *_GROUP_WRITES),
    write("DELETE", "/api/Product/ProductGroup/{group_id}", delete_group, *_GROUP_WRITES),
    read("GET", "/api/internal/Product/GetProductCategories", get_categories, "product"),
    write(
        "PUT",
        "/api/internal/Product/PutProductCategories",
        put_categories,
        *("product", "bom", "product-group", "report", "unit"),
    ),
    read("GET", "/api/Product/Vendors", get_vendors, "vendor"),
    write("PUT", "/api/Product/Vendors", save_vendor, "vendor"),
    write("DELETE", "/api/Product/Vendors/{vendor_id}", delete_vendor, "vendor"),
)
