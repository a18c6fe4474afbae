"""What the cache does with each route of a WATS server that the SDK calls: the policy, one route a line.

- `read`: method, route, seconds, tags of the answer. `bypass_query`: parameters whose presence bypasses.
- `write`: method, route, tags whose answers it makes invalid. `settle`: seconds for which the server goes on
  applying it after its answer, so that reads of the tags are not stored.
- `bypass`: method, route. Neither stored nor dirtying: wanted live, used as an interlock, or secret.

A comment holds for the routes below it, up to the next one.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["ROUTES", "Route"]


class Route(NamedTuple):
    """One route; `ttl` and `settle` are seconds."""

    kind: Literal["read", "write", "bypass"]
    method: str
    path: str
    ttl: float = 0.0
    tags: tuple[str, ...] = ()
    settle: float | None = None
    bypass_query: tuple[str, ...] = ()


def read(method: str, path: str, ttl: float, *tags: str, bypass_query: tuple[str, ...] = ()) -> Route:
    """A route whose answer may be stored."""
    return Route("read", method, path, ttl, tags, bypass_query=bypass_query)


def write(method: str, path: str, *dirties: str, settle: float | None = None) -> Route:
    """A route that changes data, whatever its method."""
    return Route("write", method, path, tags=dirties, settle=settle)


def bypass(method: str, path: str) -> Route:
    """A route that the cache leaves alone."""
    return Route("bypass", method, path)


# What a submitted report changes: statistics, unit history, asset counts; it may bring new units, parts and batches.
REPORTED = ("report", "unit", "asset", "catalog", "batch")
# Product, BOM, groups, and the product names and groups in statistics; box build decides unit checks.
PRODUCT = ("product", "bom", "product-group", "report", "unit")
# The product hierarchy and what a unit may contain.
BOX_BUILD = ("product", "bom", "product-group", "unit")
# Unit data in history and reports; it may bring a new part, revision or batch.
UNIT = ("unit", "report", "batch", "catalog")

ANALYTICS = (
    # Statistics over reports.
    read("GET", "/api/App/HighVolume", 60, "report"),
    read("GET", "/api/App/RelatedRepairHistory", 60, "report"),
    read("GET", "/api/App/TopFailed", 60, "report"),
    read("GET", "/api/App/VolumeYield", 60, "report"),
    read("GET", "/api/App/WorstYield", 60, "report"),
    read("GET", "/api/internal/App/MeasurementList", 60, "report"),
    read("GET", "/api/internal/App/StepStatusList", 60, "report"),
    read("GET", "/api/internal/App/TopFailed", 60, "report"),
    read("POST", "/api/App/AggregatedMeasurements", 60, "report"),
    read("POST", "/api/App/ConnectionAndExecutionTime", 60, "report"),
    read("POST", "/api/App/DynamicRepair", 60, "report"),
    read("POST", "/api/App/DynamicYield", 60, "report"),
    read("POST", "/api/App/HighVolume", 60, "report"),
    read("POST", "/api/App/HighVolumeByProductGroup", 60, "report"),
    read("POST", "/api/App/Measurements", 60, "report"),
    read("POST", "/api/App/OeeAnalysis", 60, "report"),
    read("POST", "/api/App/SerialNumberHistory", 60, "report"),
    read("POST", "/api/App/TestStepAnalysis", 60, "report"),
    read("POST", "/api/App/TopFailed", 60, "report"),
    read("POST", "/api/App/UurReport", 60, "report"),
    read("POST", "/api/App/VolumeYield", 60, "report"),
    read("POST", "/api/App/WorstYield", 60, "report"),
    read("POST", "/api/App/WorstYieldByProductGroup", 60, "report"),
    read("POST", "/api/internal/App/MeasurementList", 60, "report"),
    read("POST", "/api/internal/App/StepStatusList", 60, "report"),
    read("POST", "/api/internal/App/TopFailed", 60, "report"),
    read("GET", "/api/App/Levels", 3600, "level"),
    # Process configuration; the SDK has no write for it, only the TTL ends it.
    read("GET", "/api/App/Processes", 1800, "process"),
    # Groups change by product-group and product writes.
    read("GET", "/api/App/ProductGroups", 1800, "product-group"),
    # Report headers; the vendor says not for workflow decisions: those belong to UnitVerification.
    read("GET", "/api/App/UutReport", 60, "report"),
    read("POST", "/api/App/UutReport", 60, "report"),
    bypass("GET", "/api/App/Version"),
    # The GETs send no filter: what they answer depends on the POSTs before; dirties nothing cached.
    bypass("GET", "/api/internal/UnitFlow/Links"),
    bypass("GET", "/api/internal/UnitFlow/Nodes"),
    bypass("GET", "/api/internal/UnitFlow/Units"),
    bypass("POST", "/api/internal/UnitFlow"),
    bypass("POST", "/api/internal/UnitFlow/SN"),
    bypass("POST", "/api/internal/UnitFlow/SplitBy"),
    bypass("POST", "/api/internal/UnitFlow/UnitOrder"),
    # A POST that only reads, wanted live; dirties nothing.
    bypass("POST", "/api/internal/Trigger/GetAlarmAndNotificationLogs"),
)

ASSET = (
    # State decides production flow (get_asset_state); every report of any station moves the counts; read before a
    # PUT.
    read("GET", "/api/Asset", 30, "asset", bypass_query=("$skip",)),
    read("GET", "/api/Asset/{identifier}", 30, "asset"),
    # Calibrations and messages of other stations.
    read("GET", "/api/Asset/Log", 60, "asset", bypass_query=("$skip",)),
    # Counts and state of children.
    read("GET", "/api/Asset/SubAssets", 60, "asset"),
    read("GET", "/api/Asset/Types", 3600, "asset-type"),
    # Files are added by other users.
    read("GET", "/api/internal/Blob/Asset/List/{asset_id}", 60, "asset-file"),
    # Log and files go too, children change parent, assetName is a yield dimension.
    write("DELETE", "/api/Asset", "asset", "asset-file", "report"),
    # The SDK drops the file names from the request (bug).
    write("DELETE", "/api/internal/Blob/Assets", "asset-file", "asset"),
    # Changes the asset, its status and its log.
    write("POST", "/api/Asset/Calibration", "asset"),
    write("POST", "/api/Asset/Calibration/External", "asset"),
    write("POST", "/api/Asset/Maintenance", "asset"),
    write("POST", "/api/Asset/Maintenance/External", "asset"),
    write("POST", "/api/Asset/ResetRunningCount", "asset"),
    write("PUT", "/api/Asset/SetRunningCount", "asset"),
    write("PUT", "/api/Asset/SetTotalCount", "asset"),
    write("PUT", "/api/Asset/State", "asset"),
    # Changes the log.
    write("POST", "/api/Asset/Message", "asset"),
    # Changes the file list.
    write("POST", "/api/internal/Blob/Asset", "asset-file", "asset"),
    # Parent and children change; assetName is a yield dimension.
    write("PUT", "/api/Asset", "asset", "report"),
    # Changes the asset, its status and its log; incrementChildren changes sub-assets too.
    write("PUT", "/api/Asset/Count", "asset"),
    # Limits and names of a type show in its assets.
    write("PUT", "/api/Asset/Types", "asset-type", "asset"),
    # Calibration and alarm state, checked before a test.
    bypass("GET", "/api/Asset/Status"),
    bypass("GET", "/api/internal/Blob/Asset"),
)

MANUAL_INSPECTION = (
    # Which parts a definition serves.
    read("GET", "/api/internal/ManualInspection/GetRelations/{definition_id}", 300, "manual-inspection"),
    read("GET", "/api/internal/ManualInspection/GetSequences", 300, "manual-inspection"),
    # Its status (Draft, Pending, Released, Revoked) decides what operators may run.
    read("GET", "/api/internal/ManualInspection/GetTestSequenceDefinition", 60, "manual-inspection"),
    read("GET", "/api/internal/ManualInspection/GetTestSequenceDefinitions", 60, "manual-inspection"),
    read("GET", "/api/internal/ManualInspection/GetWatswwfContent/{definition_id}", 300, "manual-inspection"),
    # Changes sequences and definitions.
    write("DELETE", "/api/internal/ManualInspection/DeleteSequence/{sequence_id}", "manual-inspection"),
    # A GET that writes: the server makes a new Draft with the next version; never cached, collapsed or served stale.
    write("GET", "/api/internal/ManualInspection/GetDefinitionCopy/{definition_id}", "manual-inspection"),
    write("POST", "/api/internal/ManualInspection/PostDefinition", "manual-inspection"),
    # Changes relations and conflicts.
    write("POST", "/api/internal/ManualInspection/PostRelation", "manual-inspection"),
    write("PUT", "/api/internal/ManualInspection/PutRelation", "manual-inspection"),
    # A delete sent as PUT.
    write("PUT", "/api/internal/ManualInspection/DeleteRelationNew", "manual-inspection"),
    # Releasing one version revokes the one before.
    write("PUT", "/api/internal/ManualInspection/PutDefinitionNew", "manual-inspection"),
    # The server takes submit here: it may make a report.
    write("PUT", "/api/internal/ManualInspection/PutSequence", "manual-inspection", *REPORTED, settle=10),
    write("PUT", "/api/internal/ManualInspection/PutStringTest", "manual-inspection"),
    write("PUT", "/api/internal/ManualInspection/PutTestSequenceDefinitionXaml", "manual-inspection"),
    # Per-unit or conflict state, wanted live.
    bypass("GET", "/api/internal/ManualInspection/GetInstancesCount/{definition_id}"),
    bypass("GET", "/api/internal/ManualInspection/GetMiDetails/{unit_id}"),
    bypass("GET", "/api/internal/ManualInspection/GetMiDetailsNew/{unit_id}"),
    bypass("GET", "/api/internal/ManualInspection/GetRelationConflicts/{definition_id}"),
    bypass("GET", "/api/internal/ManualInspection/GetRelationConflictsNew/{definition_id}"),
    # Read to be edited and written back (PutTestSequenceDefinitionXaml): stale data would overwrite the edit of
    # another.
    bypass("GET", "/api/internal/ManualInspection/GetTestSequenceDefinitionXaml"),
    # A check sent as PUT: neither cached nor a write.
    bypass("PUT", "/api/internal/ManualInspection/ValidateMiscInfo"),
)

PROCESS = (
    # Process configuration; the SDK has no write for it, only the TTL ends it.
    read("GET", "/api/App/Processes", 1800, "process"),
    read("GET", "/api/internal/Process/GetProcess/{process_id}", 1800, "process"),
    read("GET", "/api/internal/Process/GetProcesses", 1800, "process"),
    read("GET", "/api/internal/Process/GetRepairOperation/{process_id}", 1800, "process"),
    read("GET", "/api/internal/Process/GetRepairOperations", 1800, "process"),
)

PRODUCT_ROUTES = (
    # BOM writes and product writes drop it.
    read("GET", "/api/Product/BOM", 1800, "bom"),
    read("GET", "/api/internal/Product/Bom", 1800, "bom"),
    # Groups are filters over part numbers.
    read("GET", "/api/Product/Groups", 1800, "product-group"),
    read("GET", "/api/Product/ProductGroup", 1800, "product-group"),
    read("GET", "/api/Product/ProductGroupFilter", 1800, "product-group"),
    read("GET", "/api/Product/ProductGroupsByProduct", 1800, "product-group"),
    read("GET", "/api/internal/Product/GetGroupsForProduct", 1800, "product-group"),
    # Catalog: products and revisions that submitted reports and BOMs add.
    read("GET", "/api/Product/Query", 1800, "product", "catalog"),
    read("GET", "/api/Product/Vendors", 3600, "vendor"),
    read("GET", "/api/internal/Product/GetProductCategories", 3600, "product"),
    # Lists the revisions, to which reports add; read before a PUT by the tag and revision methods (refresh there).
    read("GET", "/api/Product/{part_number}", 1800, "product", "catalog"),
    # One revision; a part number with a slash also lands here.
    read("GET", "/api/Product/{part_number}/{revision}", 1800, "product"),
    # Lists the revisions, to which reports add.
    read("GET", "/api/internal/Product/GetProductByPN", 1800, "product", "catalog"),
    # Box build: the template loads it and writes it back (refresh there).
    read("GET", "/api/internal/Product/GetProductInfo", 300, "product"),
    read("GET", "/api/internal/Product/GetProductTags", 1800, "product"),
    read("GET", "/api/internal/Product/GetRevisionTags", 1800, "product"),
    # Statistics are filtered and listed by group.
    write("DELETE", "/api/Product/ProductGroup/{group_id}", "product-group", "product", "report"),
    write("POST", "/api/Product/ProductGroup", "product-group", "product", "report"),
    write("PUT", "/api/Product/Group", "product-group", "product", "report"),
    write("PUT", "/api/Product/ProductGroup", "product-group", "product", "report"),
    # The literal wins over /api/Product/{part_number}/{revision}.
    write("DELETE", "/api/Product/Vendors/{vendor_id}", "vendor"),
    # Removed, or set inactive while units exist; product, BOM, groups and the product names and groups in statistics
    # change; box build decides unit checks.
    write("DELETE", "/api/Product/{part_number}", *PRODUCT),
    write("DELETE", "/api/Product/{part_number}/{revision}", *PRODUCT),
    # Box build: the product hierarchy and what a unit may contain.
    write("DELETE", "/api/internal/Product/DeleteProductRevisionRelation", *BOX_BUILD),
    write("POST", "/api/internal/Product/PostProductRevisionRelation", *BOX_BUILD),
    write("PUT", "/api/internal/Product/PutProductRevisionRelation", *BOX_BUILD),
    # Product, BOM, groups and the product names and groups in statistics change; box build decides unit checks.
    write("PUT", "/api/Product", *PRODUCT),
    write("PUT", "/api/Product/Products", *PRODUCT),
    write("PUT", "/api/Product/Revision", *PRODUCT),
    write("PUT", "/api/Product/Revisions", *PRODUCT),
    write("PUT", "/api/internal/Product/PutProductCategories", *PRODUCT),
    write("PUT", "/api/internal/Product/PutProductTags", *PRODUCT),
    write("PUT", "/api/internal/Product/PutRevisionTags", *PRODUCT),
    # Inserts the product and revision of the BOM if they do not exist.
    write("PUT", "/api/Product/BOM", "bom", "product", "catalog", "product-group", "report"),
    write("PUT", "/api/Product/Vendors", "vendor"),
    # Taken to insert product and revision as the public BOM does; read as /Bom, written as /BOM.
    write("PUT", "/api/internal/Product/BOM", "bom", "product", "catalog", "product-group", "report"),
)

PRODUCTION = (
    # Batches are made by ERP and other stations.
    read("GET", "/api/Production/Batches", 300, "batch"),
    read("GET", "/api/Production/SerialNumbers/Types", 3600, "serial-number-type"),
    read("GET", "/api/internal/Mes/GetUnitPhases", 3600, "phase"),
    read("GET", "/api/internal/Production/GetSites", 3600, "site"),
    # The unit leaves history and batch.
    write("DELETE", "/api/Production/Unit", "unit", "report", "batch"),
    # Unit state, verification and changes.
    write("DELETE", "/api/Production/Units/Changes/{change_id}", "unit"),
    write("PUT", "/api/Production/SetUnitPhase", "unit"),
    write("PUT", "/api/Production/SetUnitProcess", "unit"),
    write("PUT", "/api/Production/UnitTag", "unit"),
    # Pool of serial numbers; the SDK drops the ranges from the request (bug).
    write("DELETE", "/api/internal/Production/SerialNumbers/Free", "serial-number", "serial-number-type"),
    # Hierarchy and checks of parent and child.
    write("POST", "/api/Production/AddChildUnit", "unit"),
    write("POST", "/api/Production/RemoveChildUnit", "unit"),
    write("POST", "/api/internal/Production/AddChildUnit", "unit"),
    write("POST", "/api/internal/Production/RemoveAllChildUnits", "unit"),
    write("POST", "/api/internal/Production/RemoveChildUnit", "unit"),
    # Pool of serial numbers; each call takes or frees others: never cached, collapsed or repeated by us.
    write("POST", "/api/Production/SerialNumbers/Take", "serial-number", "serial-number-type"),
    write("PUT", "/api/internal/Production/SerialNumbers/Free", "serial-number", "serial-number-type"),
    # Unit data in history and reports; may bring a new part, revision or batch.
    write("POST", "/api/Production/Unit", *UNIT),
    write("POST", "/api/internal/Production/CreateUnit", *UNIT),
    write("PUT", "/api/Production/Unit", *UNIT),
    write("PUT", "/api/Production/Units", *UNIT),
    # Takes others on each call: never cached, collapsed or repeated by us; body holds the token; json= fails in the
    # SDK before the wire.
    write("POST", "/api/internal/Production/GetAndReserveNewSerialNumbers", "serial-number", "serial-number-type"),
    # Batch is a dimension of units and statistics.
    write("PUT", "/api/Production/Batch", "batch", "unit", "report"),
    write("PUT", "/api/Production/Batches", "batch", "unit", "report"),
    # The unit moves to another part number and revision.
    write("PUT", "/api/Production/ChangeUnit", *UNIT),
    # Pool of serial numbers: an upload fills it.
    write("PUT", "/api/Production/SerialNumbers", "serial-number", "serial-number-type"),
    # State used as an interlock before a test.
    bypass("GET", "/api/Production/CheckChildUnits"),
    bypass("GET", "/api/Production/Unit/Query"),
    bypass("GET", "/api/Production/Unit/{serial_number}/{part_number}"),
    bypass("GET", "/api/Production/UnitVerification"),
    bypass("GET", "/api/internal/Production/CheckChildUnits"),
    bypass("GET", "/api/internal/Production/GetUnit"),
    bypass("GET", "/api/internal/Production/GetUnitContents"),
    bypass("GET", "/api/internal/Production/GetUnitHierarchy"),
    bypass("GET", "/api/internal/Production/GetUnitInfo"),
    bypass("GET", "/api/internal/Production/GetUnitPhase"),
    bypass("GET", "/api/internal/Production/GetUnitProcess"),
    bypass("GET", "/api/internal/Production/GetUnitStateHistory"),
    # Pool that other stations take from.
    bypass("GET", "/api/Production/SerialNumbers"),
    bypass("GET", "/api/Production/SerialNumbers/ByRange"),
    bypass("GET", "/api/Production/SerialNumbers/ByReference"),
    bypass("GET", "/api/internal/Production/SerialNumbers"),
    bypass("GET", "/api/internal/Production/SerialNumbers/Count"),
    bypass("GET", "/api/internal/Production/SerialNumbers/Ranges"),
    bypass("GET", "/api/internal/Production/SerialNumbers/Statistics"),
    # A queue: handled changes are deleted.
    bypass("GET", "/api/Production/Units/Changes"),
    bypass("GET", "/api/internal/Production/isConnected"),
)

REPORT = (
    # A report can be sent again under its id, repaired or deleted on the server.
    read("GET", "/api/Report/Attachment", 120, "report"),
    read("GET", "/api/Report/Attachments/{report_id}", 120, "report"),
    read("GET", "/api/Report/Certificate/{report_id}", 120, "report"),
    read("GET", "/api/Report/Wsjf/{report_id}", 120, "report"),
    read("GET", "/api/Report/Wsxf/{report_id}", 120, "report"),
    # Headers; not for workflow decisions.
    read("GET", "/api/Report/Query/Header", 60, "report", bypass_query=("$skip",)),
    read("GET", "/api/Report/Query/HeaderByMiscInfo", 60, "report"),
    # Statistics, unit history, asset counts, new units, perhaps new products and revisions; processed after the
    # answer, so reads that begin within `settle` seconds are not stored.
    write("POST", "/api/Report/WSJF", *REPORTED, settle=10),
    write("POST", "/api/Report/WSXF", *REPORTED, settle=10),
)

ROOTCAUSE = (
    # Content under its own id.
    read("GET", "/api/RootCause/Attachment", 300, "ticket"),
    # Others work on tickets.
    read("GET", "/api/RootCause/Tickets", 60, "ticket"),
    # Status changes.
    write("POST", "/api/RootCause/ArchiveTickets", "ticket"),
    # Belongs to a ticket; files= fails in the SDK before the wire.
    write("POST", "/api/RootCause/Attachment", "ticket"),
    write("POST", "/api/RootCause/Ticket", "ticket"),
    # Ticket and lists change.
    write("PUT", "/api/RootCause/Ticket", "ticket"),
    # Add_comment, change_status and assign_ticket write the whole ticket back: stale data would undo the work of
    # another.
    bypass("GET", "/api/RootCause/Ticket"),
)

SCIM = (
    # Identities and tokens.
    bypass("DELETE", "/api/SCIM/v2/Users/{user_id}"),
    bypass("GET", "/api/SCIM/v2/Users"),
    bypass("GET", "/api/SCIM/v2/Users/userName={username}"),
    bypass("GET", "/api/SCIM/v2/Users/{user_id}"),
    # A GET that makes a new token.
    bypass("GET", "/api/SCIM/v2/Token"),
    # Identities and tokens; json= fails in the SDK before the wire.
    bypass("PATCH", "/api/SCIM/v2/Users/{user_id}"),
    bypass("POST", "/api/SCIM/v2/Users"),
)

SOFTWARE = (
    # Package data; status may change elsewhere.
    read("GET", "/api/Software/Package/{package_id}", 300, "package"),
    read("GET", "/api/Software/PackageFiles/{package_id}", 300, "package"),
    read("GET", "/api/Software/Packages", 300, "package"),
    read("GET", "/api/internal/Software/GetPackage", 300, "package"),
    read("GET", "/api/internal/Software/GetSoftwareEntityDetails", 300, "package"),
    # A station asks it which software to run; releases come from elsewhere.
    read("GET", "/api/Software/PackageByName", 60, "package"),
    read("GET", "/api/Software/PackagesByTag", 60, "package"),
    read("GET", "/api/internal/Software/GetPackageByName", 60, "package"),
    read("GET", "/api/internal/Software/GetPackagesByTag", 60, "package"),
    # Folders are edited elsewhere.
    read("GET", "/api/Software/VirtualFolders", 300, "folder"),
    # Other stations add to it.
    read("GET", "/api/internal/Software/GetPackageDownloadHistory", 60, "package-history", "package"),
    # Versions of packages.
    read("GET", "/api/internal/Software/GetPackageHistory", 60, "package-history", "package"),
    # Versions, status and lists change.
    write("DELETE", "/api/Software/Package/{package_id}", "package", "package-history"),
    write("DELETE", "/api/Software/PackageByName", "package", "package-history"),
    write("POST", "/api/Software/Package", "package", "package-history"),
    write("PUT", "/api/Software/Package/{package_id}", "package", "package-history"),
    # Folders and the packages in them.
    write("DELETE", "/api/Software/VirtualFolder/{folder_id}", "folder", "package"),
    write("POST", "/api/Software/VirtualFolder", "folder", "package"),
    write("PUT", "/api/Software/VirtualFolder", "folder", "package"),
    # A GET that writes the download history; never cached, collapsed or served stale.
    write("GET", "/api/internal/Software/Log", "package-history"),
    # File lists change.
    write("POST", "/api/Software/Package/FileAttribute/{file_id}", "package", "package-history"),
    write("POST", "/api/Software/Package/UploadZip/{package_id}", "package", "package-history"),
    # A release or revocation changes what stations install.
    write("POST", "/api/Software/PackageStatus/{package_id}", "package", "package-history"),
    # Folders and files inside a package.
    write("POST", "/api/internal/Software/DeletePackageFolder", "folder", "package"),
    write("POST", "/api/internal/Software/DeletePackageFolderFiles", "folder", "package"),
    write("POST", "/api/internal/Software/PostPackageFolder", "folder", "package"),
    write("POST", "/api/internal/Software/UpdatePackageFolder", "folder", "package"),
    # A check before an upload.
    bypass("GET", "/api/internal/Software/CheckFile"),
    # Large file (the SDK then fails on response.content).
    bypass("GET", "/api/internal/Software/DownloadFile"),
    # File data; changes with uploads of others.
    bypass("GET", "/api/internal/Software/File/{file_id}"),
    # A poll for updates: an old answer keeps old software running.
    bypass("GET", "/api/internal/Software/GetAvailablePackages"),
    # A poll for revocations: an old answer keeps revoked software running.
    bypass("GET", "/api/internal/Software/GetRevokedPackages"),
    bypass("GET", "/api/internal/Software/isConnected"),
)

ROUTES: tuple[Route, ...] = (
    *ANALYTICS,
    *ASSET,
    *MANUAL_INSPECTION,
    *PROCESS,
    *PRODUCT_ROUTES,
    *PRODUCTION,
    *REPORT,
    *ROOTCAUSE,
    *SCIM,
    *SOFTWARE,
)
"""All 229 rows, as the SDK's domains call them; two domains may call the same route."""
