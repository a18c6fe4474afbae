"""Made by tests/wats/sync_faces.py."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pywats.domains.asset.enums import AssetState
from pywats.domains.asset.models import Asset, AssetLog, AssetType

class SyncAssetService:
    def get_assets(
        self, filter_str: str | None = None, orderby: str | None = None, top: int | None = None, skip: int | None = None
    ) -> list[Asset]: ...
    def get_asset(self, asset_id: str | None = None, serial_number: str | None = None) -> Asset | None: ...
    def get_asset_by_serial(self, serial_number: str) -> Asset | None: ...
    def create_asset(
        self,
        serial_number: str,
        type_id: UUID,
        asset_name: str | None = None,
        description: str | None = None,
        location: str | None = None,
        parent_asset_id: str | None = None,
        parent_serial_number: str | None = None,
        *,
        part_number: str | None = None,
        revision: str | None = None,
        state: AssetState = ...,
        client_id: int | None = None,
        first_seen_date: datetime | None = None,
        last_seen_date: datetime | None = None,
        last_maintenance_date: datetime | None = None,
        next_maintenance_date: datetime | None = None,
        last_calibration_date: datetime | None = None,
        next_calibration_date: datetime | None = None,
        total_count: int | None = None,
        running_count: int | None = None,
    ) -> Asset | None: ...
    def update_asset(self, asset: Asset) -> Asset | None: ...
    def delete_asset(self, asset_id: str | None = None, serial_number: str | None = None) -> bool: ...
    def get_status(self, asset_id: str | None = None, serial_number: str | None = None) -> dict[str, Any] | None: ...
    def get_asset_state(self, asset_id: str) -> AssetState | None: ...
    def set_asset_state(
        self, state: AssetState | int, asset_id: str | None = None, serial_number: str | None = None
    ) -> bool: ...
    def is_in_alarm(self, asset: Asset) -> bool: ...
    def is_in_warning(self, asset: Asset) -> bool: ...
    def get_assets_in_alarm(self, top: int | None = None) -> list[Asset]: ...
    def get_assets_in_warning(self, top: int | None = None) -> list[Asset]: ...
    def get_assets_by_alarm_state(self, state: AssetState | int, top: int | None = None) -> list[Asset]: ...
    def increment_count(
        self,
        asset_id: str | None = None,
        serial_number: str | None = None,
        amount: int = 1,
        increment_children: bool = False,
    ) -> bool: ...
    def reset_running_count(
        self, asset_id: str | None = None, serial_number: str | None = None, comment: str | None = None
    ) -> bool: ...
    def set_running_count(self, value: int, asset_id: str | None = None, serial_number: str | None = None) -> bool: ...
    def set_total_count(self, value: int, asset_id: str | None = None, serial_number: str | None = None) -> bool: ...
    def record_calibration(
        self,
        asset_id: str | None = None,
        serial_number: str | None = None,
        date_time: datetime | None = None,
        comment: str | None = None,
    ) -> bool: ...
    def record_maintenance(
        self,
        asset_id: str | None = None,
        serial_number: str | None = None,
        date_time: datetime | None = None,
        comment: str | None = None,
    ) -> bool: ...
    def record_calibration_external(
        self,
        asset_id: str | None = None,
        serial_number: str | None = None,
        from_date: datetime | None = None,
        to_date: datetime | None = None,
        comment: str | None = None,
    ) -> bool: ...
    def record_maintenance_external(
        self,
        asset_id: str | None = None,
        serial_number: str | None = None,
        from_date: datetime | None = None,
        to_date: datetime | None = None,
        comment: str | None = None,
    ) -> bool: ...
    def get_asset_log(
        self, filter_str: str | None = None, orderby: str | None = None, top: int | None = None
    ) -> list[AssetLog]: ...
    def add_log_message(self, asset_id: str, message: str, user: str | None = None) -> bool: ...
    def get_asset_types(self) -> list[AssetType]: ...
    def create_asset_type(
        self,
        type_name: str,
        running_count_limit: int | None = None,
        total_count_limit: int | None = None,
        calibration_interval: float | None = None,
        maintenance_interval: float | None = None,
        warning_threshold: float | None = None,
        alarm_threshold: float | None = None,
        *,
        icon: str | None = None,
    ) -> AssetType | None: ...
    def get_child_assets(
        self, parent_id: str | None = None, parent_serial: str | None = None, level: int | None = None
    ) -> list[Asset]: ...
    def add_child_asset(self, parent_id: str, child_id: str) -> bool: ...
    def upload_file(self, asset_id: str, filename: str, content: bytes) -> bool: ...
    def download_file(self, asset_id: str, filename: str) -> bytes | None: ...
    def list_files(self, asset_id: str) -> list[str]: ...
    def delete_files(self, asset_id: str, filenames: list[str]) -> bool: ...
