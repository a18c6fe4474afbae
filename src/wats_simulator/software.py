"""Software packages, their files and folders, virtual folders, and who downloaded what."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from .call import Call, Json, Refused, Reply, Route, found, live, picked, read, write
from .state import WATSState, fold

_STATUSES = ("Draft", "Pending", "Released", "Revoked")


def add_package(state: WATSState, name: str, status: str = "Draft", **fields: Any) -> Json:
    """Add the next version of the package with this name."""
    versions = [one["version"] for one in state.packages.values() if fold(one["name"]) == fold(name)]
    now = state.now()
    package: Json = {
        "packageId": state.new_id(),
        "name": name,
        "description": "",
        "version": max(versions, default=0) + 1,
        "status": status,
        "installOnRoot": False,
        "rootDirectory": "",
        "priority": 0,
        "tags": [],
        "createdUtc": now,
        "modifiedUtc": now,
    }
    package.update({key: value for key, value in fields.items() if value is not None})
    state.packages[package["packageId"]] = package
    return package


def add_file(state: WATSState, package_id: str, name: str, content: bytes) -> Json:
    """Add a file to the package."""
    now = state.now()
    file: Json = {
        "fileId": state.new_id(),
        "packageId": package_id,
        "filename": name,
        "path": name,
        "size": len(content),
        "checksum": hashlib.sha256(content).hexdigest(),
        "createdUtc": now,
        "modifiedUtc": now,
        "attributes": "0",
    }
    state.package_files[file["fileId"]] = file
    return file


def _package(call: Call, package_id: str) -> Json:
    package: Json = found(call.state.packages.get(package_id.casefold()), f"package {package_id!r}")
    return package


def _files(call: Call, package_id: str) -> list[Json]:
    return [file for file in call.state.package_files.values() if file["packageId"] == package_id]


def _newest(call: Call, name: str) -> Json:
    status, version = call.query("status"), call.number("version")
    chosen = [
        one
        for one in call.state.packages.values()
        if fold(one["name"]) == fold(name)
        and status.casefold() in ("", one["status"].casefold())
        and version in (0, one["version"])
    ]
    if not chosen:
        raise Refused(404, f"package {name!r} does not exist")
    return max(chosen, key=lambda one: int(one["version"]))


def get_packages(call: Call) -> Any:
    return list(call.state.packages.values())


def get_package(call: Call) -> Any:
    return _package(call, call.params.get("package_id") or call.query("packageId"))


def get_package_by_name(call: Call) -> Any:
    return _newest(call, call.query("name") or call.query("packageName"))


def get_packages_by_tag(call: Call) -> Any:
    return _tagged(call, [(call.query("tag"), call.query("value"))])


def get_packages_by_xpath(call: Call) -> Any:
    """Tags come as XPath: `//*[StationName[.='A' or .='Any']][Line[.='1']]`."""
    pairs = re.findall(r"\[(\w+)\[\.='((?:[^'\\]|\\.)*)'", call.query("tags"))
    return _tagged(call, pairs)


def _tagged(call: Call, pairs: list[tuple[str, str]]) -> list[Json]:
    status = call.query("status").casefold()
    return [
        package
        for package in call.state.packages.values()
        if status in ("", package["status"].casefold())
        and all({"key": key, "value": value} in package["tags"] for key, value in pairs)
    ]


def get_history(call: Call) -> Any:
    return get_packages_by_xpath(call) if "[" in call.query("tags") else get_packages(call)


def get_files(call: Call) -> Any:
    return _files(call, _package(call, call.params["package_id"])["packageId"])


def get_details(call: Call) -> Any:
    package = _package(call, call.query("packageId"))
    folders = [one for one in call.state.package_folders.values() if one["packageId"] == package["packageId"]]
    return {**package, "files": _files(call, package["packageId"]), "packageFolders": folders}


def create_package(call: Call) -> Any:
    fields = call.object()
    name = str(picked(fields, "name") or "")
    if not name:
        raise Refused(400, "name is required")
    kept = {key: value for key, value in fields.items() if key not in ("name", "packageId", "version", "status")}
    return add_package(call.state, name, "Draft", createdBy=call.user, **kept)


def update_package(call: Call) -> Any:
    package = _package(call, call.params["package_id"])
    package.update({key: value for key, value in call.object().items() if key != "packageId"})
    package["modifiedUtc"] = call.state.now()
    return package


def set_status(call: Call) -> Any:
    package = _package(call, call.params["package_id"])
    status = call.query("status").capitalize()
    if status not in _STATUSES:
        raise Refused(400, f"status must be one of {', '.join(_STATUSES)}, not {status!r}")
    package.update(status=status, modifiedUtc=call.state.now())
    return package


def delete_package(call: Call) -> Any:
    return _delete(call, _package(call, call.params["package_id"]))


def delete_package_by_name(call: Call) -> Any:
    return _delete(call, _newest(call, call.query("name")))


def _delete(call: Call, package: Json) -> Reply:
    del call.state.packages[package["packageId"]]
    for file in _files(call, package["packageId"]):
        del call.state.package_files[file["fileId"]]
    return Reply(status=204)


def upload_zip(call: Call) -> Any:
    package = _package(call, call.params["package_id"])
    if call.flag("cleanInstall"):
        for file in _files(call, package["packageId"]):
            del call.state.package_files[file["fileId"]]
    return add_file(call.state, package["packageId"], f"upload-{call.state.next_number()}.zip", call.body)


def set_file_attribute(call: Call) -> Any:
    file_id = call.params["file_id"]
    file = found(call.state.package_files.get(file_id.casefold()), f"file {file_id!r}")
    file.update(attributes=str(picked(call.object(), "attributes") or ""), modifiedUtc=call.state.now())
    return file


def get_file(call: Call) -> Any:
    file_id = call.params["file_id"]
    return found(call.state.package_files.get(file_id.casefold()), f"file {file_id!r}")


def check_file(call: Call) -> Any:
    _package(call, call.query("packageId"))
    known = [one for one in call.state.package_files.values() if one["checksum"] == call.query("checksum")]
    return {"exists": bool(known), "fileId": known[0]["fileId"] if known else None}


def download_file(call: Call) -> Any:
    return Reply(f"content of {call.query('repositoryFolderFileId')}\n".encode(), content_type="application/zip")


def log_download(call: Call) -> Any:
    package = _package(call, call.query("packageId"))
    entry = {"packageId": package["packageId"], "downloadSize": call.number("downloadSize"), "user": call.user}
    call.state.downloads.append({**entry, "date": call.state.now()})
    return {"logged": len(call.state.downloads)}


def get_downloads(call: Call) -> Any:
    return call.state.downloads


def _installed(call: Call) -> list[str]:
    return [part.strip().casefold() for part in call.query("installedPackages").split(",") if part.strip()]


def get_available(call: Call) -> Any:
    installed = _installed(call)
    return [one for key, one in call.state.packages.items() if one["status"] == "Released" and key not in installed]


def get_revoked(call: Call) -> Any:
    packages = call.state.packages
    return [key for key in _installed(call) if key not in packages or packages[key]["status"] == "Revoked"]


# Folders inside a package, and virtual folders that packages are sorted into.


def create_package_folder(call: Call) -> Any:
    package = _package(call, call.query("packageId"))
    folder = {**call.object(), "packageFolderId": call.state.new_id(), "packageId": package["packageId"]}
    folder["modified"] = call.state.now()
    call.state.package_folders[folder["packageFolderId"]] = folder
    return folder


def update_package_folder(call: Call) -> Any:
    fields = call.object()
    folder_id = str(picked(fields, "packageFolderId") or "")
    folder = found(call.state.package_folders.get(folder_id.casefold()), f"package folder {folder_id!r}")
    folder.update(fields, modified=call.state.now())
    return folder


def delete_package_folder(call: Call) -> Any:
    folder_id = call.query("packageFolderId")
    return found(call.state.package_folders.pop(folder_id.casefold(), None), f"package folder {folder_id!r}")


def delete_package_files(call: Call) -> Any:
    wanted = [part.strip().casefold() for part in call.query("packageFolderFileIds").split(",") if part.strip()]
    gone = [key for key in wanted if call.state.package_files.pop(key, None)]
    return {"deleted": len(gone)}


def add_folder(
    state: WATSState, name: str, parent_id: Any = None, description: str = "", restricted: bool = False
) -> Json:
    """Add a virtual folder."""
    folder = {
        "folderId": state.new_id(),
        "parentId": parent_id,
        "name": name,
        "path": f"/{name}",
        "description": description,
        "isRestricted": restricted,
    }
    state.folders[folder["folderId"]] = folder
    return folder


def get_folders(call: Call) -> Any:
    return list(call.state.folders.values())


def create_folder(call: Call) -> Any:
    fields = call.object()
    name = str(picked(fields, "name") or "")
    if not name:
        raise Refused(400, "name is required")
    restricted = bool(fields.get("isRestricted"))
    return add_folder(call.state, name, fields.get("parentId"), str(fields.get("description") or ""), restricted)


def update_folder(call: Call) -> Any:
    fields = call.object()
    folder_id = str(picked(fields, "id", "folderId") or "")
    folder = found(call.state.folders.get(folder_id.casefold()), f"virtual folder {folder_id!r}")
    folder.update({key: value for key, value in fields.items() if key != "id"})
    return folder


def delete_folder(call: Call) -> Any:
    folder_id = call.params["folder_id"]
    found(call.state.folders.pop(folder_id.casefold(), None), f"virtual folder {folder_id!r}")
    return Reply(status=204)


_BOTH = ("package", "package-history")

ROUTES: tuple[Route, ...] = (
    read("GET", "/api/Software/Packages", get_packages, "package"),
    read("GET", "/api/Software/Package/{package_id}", get_package, "package"),
    read("GET", "/api/Software/PackageByName", get_package_by_name, "package"),
    read("GET", "/api/Software/PackagesByTag", get_packages_by_tag, "package"),
    read("GET", "/api/Software/PackageFiles/{package_id}", get_files, "package"),
    read("GET", "/api/internal/Software/GetPackage", get_package, "package"),
    read("GET", "/api/internal/Software/GetPackageByName", get_package_by_name, "package"),
    read("GET", "/api/internal/Software/GetPackagesByTag", get_packages_by_xpath, "package"),
    read("GET", "/api/internal/Software/GetSoftwareEntityDetails", get_details, "package"),
    read("GET", "/api/internal/Software/GetPackageHistory", get_history, *_BOTH),
    read("GET", "/api/internal/Software/GetPackageDownloadHistory", get_downloads, *_BOTH),
    live("GET", "/api/internal/Software/GetAvailablePackages", get_available),
    live("GET", "/api/internal/Software/GetRevokedPackages", get_revoked),
    live("GET", "/api/internal/Software/CheckFile", check_file),
    live("GET", "/api/internal/Software/File/{file_id}", get_file),
    live("GET", "/api/internal/Software/DownloadFile", download_file),
    write("GET", "/api/internal/Software/Log", log_download, "package-history"),
    write("POST", "/api/Software/Package", create_package, *_BOTH),
    write("PUT", "/api/Software/Package/{package_id}", update_package, *_BOTH),
    write("DELETE", "/api/Software/Package/{package_id}", delete_package, *_BOTH),
    write("DELETE", "/api/Software/PackageByName", delete_package_by_name, *_BOTH),
    write("POST", "/api/Software/PackageStatus/{package_id}", set_status, *_BOTH),
    write("POST", "/api/Software/Package/UploadZip/{package_id}", upload_zip, *_BOTH),
    write("POST", "/api/Software/Package/FileAttribute/{file_id}", set_file_attribute, *_BOTH),
    write("POST", "/api/internal/Software/PostPackageFolder", create_package_folder, "folder", "package"),
    write("POST", "/api/internal/Software/UpdatePackageFolder", update_package_folder, "folder", "package"),
    write("POST", "/api/internal/Software/DeletePackageFolder", delete_package_folder, "folder", "package"),
    write("POST", "/api/internal/Software/DeletePackageFolderFiles", delete_package_files, "folder", "package"),
    read("GET", "/api/Software/VirtualFolders", get_folders, "folder"),
    write("POST", "/api/Software/VirtualFolder", create_folder, "folder", "package"),
    write("PUT", "/api/Software/VirtualFolder", update_folder, "folder", "package"),
    write("DELETE", "/api/Software/VirtualFolder/{folder_id}", delete_folder, "folder", "package"),
)
