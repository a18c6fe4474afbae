"""Made by tests/wats/sync_faces.py."""

from datetime import datetime
from typing import Any, overload
from uuid import UUID

from pywats.domains.report.async_service import StationInfo
from pywats.domains.report.enums import ReportType
from pywats.domains.report.models import ReportHeader
from pywats.domains.report.report_models import UURReport, UUTReport

class SyncReportService:
    def create_uut_report(
        self,
        operator: str,
        part_number: str,
        revision: str,
        serial_number: str,
        operation_type: int,
        *,
        station_name: str | None = None,
        location: str | None = None,
        purpose: str | None = None,
        start_time: datetime | None = None,
    ) -> UUTReport: ...
    @overload
    def create_uur_report(
        self,
        uut_or_guid_or_pn: UUTReport,
        test_operation_code_pos: None = None,
        *,
        repair_process_code: int = 500,
        operator: str | None = None,
        station: StationInfo | None = None,
        station_name: str | None = None,
        location: str | None = None,
        comment: str | None = None,
    ) -> UURReport: ...
    @overload
    def create_uur_report(
        self,
        uut_or_guid_or_pn: UUID,
        test_operation_code_pos: None = None,
        *,
        part_number: str,
        serial_number: str,
        test_operation_code: int,
        repair_process_code: int = 500,
        revision: str = ...,
        operator: str | None = None,
        station: StationInfo | None = None,
        station_name: str | None = None,
        location: str | None = None,
        comment: str | None = None,
    ) -> UURReport: ...
    @overload
    def create_uur_report(
        self,
        uut_or_guid_or_pn: str,
        test_operation_code_pos: int,
        *,
        serial_number: str,
        repair_process_code: int = 500,
        revision: str = ...,
        operator: str | None = None,
        station: StationInfo | None = None,
        station_name: str | None = None,
        location: str | None = None,
        comment: str | None = None,
    ) -> UURReport: ...
    def create_uur_from_uut(
        self, uut_report: UUTReport, operator: str | None = None, comment: str | None = None
    ) -> UURReport: ...
    def query_headers(
        self,
        report_type: ReportType | str = ...,
        expand: list[str] | None = None,
        odata_filter: str | None = None,
        top: int | None = None,
        orderby: str | None = None,
        skip: int | None = None,
    ) -> list[ReportHeader]: ...
    def query_uut_headers(
        self,
        expand: list[str] | None = None,
        odata_filter: str | None = None,
        top: int | None = None,
        orderby: str | None = None,
    ) -> list[ReportHeader]: ...
    def query_uur_headers(
        self,
        expand: list[str] | None = None,
        odata_filter: str | None = None,
        top: int | None = None,
        orderby: str | None = None,
    ) -> list[ReportHeader]: ...
    def get_report(self, report_id: str, detail_level: int | None = None) -> UUTReport | UURReport | None: ...
    def submit_report(self, report: UUTReport | UURReport | dict[str, Any]) -> str | None: ...
    def get_attachment(self, attachment_id: str | None = None, step_id: str | None = None) -> bytes | None: ...
    def get_all_attachments(self, report_id: str) -> bytes | None: ...
    def get_certificate(self, report_id: str) -> bytes | None: ...
    def query_headers_with_subunits(
        self,
        report_type: ReportType | str = ...,
        odata_filter: str | None = None,
        top: int | None = None,
        orderby: str | None = None,
    ) -> list[ReportHeader]: ...
    def query_headers_by_subunit_part_number(
        self, subunit_part_number: str, report_type: ReportType | str = ..., top: int | None = None
    ) -> list[ReportHeader]: ...
    def query_headers_by_subunit_serial(
        self, subunit_serial_number: str, report_type: ReportType | str = ..., top: int | None = None
    ) -> list[ReportHeader]: ...
    def query_headers_by_misc_info(
        self, description: str, string_value: str, top: int | None = None
    ) -> list[ReportHeader]: ...
    def get_headers_by_serial(
        self, serial_number: str, report_type: ReportType | str = ..., top: int | None = None
    ) -> list[ReportHeader]: ...
    def get_headers_by_part_number(
        self, part_number: str, report_type: ReportType | str = ..., top: int | None = None
    ) -> list[ReportHeader]: ...
    def get_headers_by_date_range(
        self, start_date: datetime, end_date: datetime, report_type: ReportType | str = ...
    ) -> list[ReportHeader]: ...
    def get_recent_headers(
        self, days: int = ..., report_type: ReportType | str = ..., top: int | None = None
    ) -> list[ReportHeader]: ...
    def get_todays_headers(self, report_type: ReportType | str = ..., top: int | None = None) -> list[ReportHeader]: ...
    def submit(self, report: UUTReport | UURReport | dict[str, Any]) -> str | None: ...
    def get_report_xml(
        self,
        report_id: str,
        include_attachments: bool | None = None,
        include_chartdata: bool | None = None,
        include_indexes: bool | None = None,
    ) -> bytes | None: ...
    def submit_report_xml(self, xml_content: str) -> str | None: ...
