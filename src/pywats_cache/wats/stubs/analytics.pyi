"""Made by tests/wats/sync_faces.py."""

from datetime import datetime
from typing import Any

from pywats.domains.analytics.enums import AlarmType
from pywats.domains.analytics.models import (
    AggregatedMeasurement,
    AlarmLog,
    ConnectionExecutionTimeAnalysis,
    LevelInfo,
    MeasurementData,
    MeasurementListItem,
    OeeAnalysisResult,
    ProcessInfo,
    ProductGroup,
    RepairHistoryRecord,
    RepairStatistics,
    StepAnalysisRow,
    StepStatusItem,
    TopFailedStep,
    UnitFlowFilter,
    UnitFlowLink,
    UnitFlowNode,
    UnitFlowResult,
    UnitFlowUnit,
    YieldData,
)
from pywats.domains.report.models import ReportHeader, WATSFilter

class SyncAnalyticsService:
    def get_version(self) -> str | None: ...
    def get_processes(
        self,
        include_test_operations: bool | None = None,
        include_repair_operations: bool | None = None,
        include_wip_operations: bool | None = None,
        include_inactive_processes: bool | None = None,
    ) -> list[ProcessInfo]: ...
    def get_levels(self) -> list[LevelInfo]: ...
    def get_product_groups(self, include_filters: bool | None = None) -> list[ProductGroup]: ...
    def get_dynamic_yield(self, filter_data: WATSFilter | dict[str, Any]) -> list[YieldData]: ...
    def get_yield_summary(self, part_number: str, revision: str | None = None, days: int = 30) -> list[YieldData]: ...
    def get_station_yield(self, station_name: str, days: int = 7) -> list[YieldData]: ...
    def get_dynamic_repair(self, filter_data: WATSFilter | dict[str, Any]) -> list[RepairStatistics]: ...
    def get_volume_yield(
        self, filter_data: WATSFilter | None = None, product_group: str | None = None, level: str | None = None
    ) -> list[YieldData]: ...
    def get_worst_yield(
        self, filter_data: WATSFilter | None = None, product_group: str | None = None, level: str | None = None
    ) -> list[YieldData]: ...
    def get_worst_yield_by_product_group(self, filter_data: WATSFilter) -> list[YieldData]: ...
    def get_high_volume(
        self, filter_data: WATSFilter | None = None, product_group: str | None = None, level: str | None = None
    ) -> list[YieldData]: ...
    def get_high_volume_by_product_group(self, filter_data: WATSFilter) -> list[YieldData]: ...
    def get_top_failed(
        self,
        filter_data: WATSFilter | None = None,
        *,
        product_group: str | None = None,
        level: str | None = None,
        part_number: str | None = None,
        revision: str | None = None,
        top_count: int | None = None,
    ) -> list[TopFailedStep]: ...
    def get_related_repair_history(self, part_number: str, revision: str) -> list[RepairHistoryRecord]: ...
    def get_test_step_analysis(self, filter_data: WATSFilter | dict[str, Any]) -> list[StepAnalysisRow]: ...
    def get_connection_and_execution_time(
        self,
        filter_data: WATSFilter | dict[str, Any],
        *,
        min_connection_time: int | None = None,
        max_connection_time: int | None = None,
        min_execution_time: int | None = None,
        max_execution_time: int | None = None,
    ) -> ConnectionExecutionTimeAnalysis | None: ...
    def get_test_step_analysis_for_operation(
        self,
        part_number: str,
        test_operation: str,
        *,
        revision: str | None = None,
        days: int = 30,
        run: int = 1,
        max_count: int = 10000,
    ) -> list[StepAnalysisRow]: ...
    def get_measurements(
        self, filter_data: WATSFilter | dict[str, Any], *, measurement_paths: str | None = None
    ) -> list[MeasurementData]: ...
    def get_aggregated_measurements(
        self, filter_data: WATSFilter | dict[str, Any], *, measurement_paths: str | None = None
    ) -> list[AggregatedMeasurement]: ...
    def get_oee_analysis(self, filter_data: WATSFilter | dict[str, Any]) -> OeeAnalysisResult | None: ...
    def get_serial_number_history(self, filter_data: WATSFilter | dict[str, Any]) -> list[ReportHeader]: ...
    def get_uut_reports(
        self,
        filter_data: WATSFilter | dict[str, Any] | None = None,
        *,
        product_group: str | None = None,
        level: str | None = None,
        part_number: str | None = None,
        revision: str | None = None,
        serial_number: str | None = None,
        status: str | None = None,
        top_count: int | None = None,
    ) -> list[ReportHeader]: ...
    def get_uur_reports(self, filter_data: WATSFilter | dict[str, Any]) -> list[ReportHeader]: ...
    def get_unit_flow(self, filter_data: UnitFlowFilter | dict[str, Any] | None = None) -> UnitFlowResult: ...
    def get_flow_links(self) -> list[UnitFlowLink]: ...
    def get_flow_nodes(self) -> list[UnitFlowNode]: ...
    def trace_serial_numbers(
        self, serial_numbers: list[str], filter_data: UnitFlowFilter | dict[str, Any] | None = None
    ) -> UnitFlowResult | None: ...
    def get_flow_units(self) -> list[UnitFlowUnit]: ...
    def split_flow_by(
        self, dimension: str, filter_data: UnitFlowFilter | dict[str, Any] | None = None
    ) -> UnitFlowResult: ...
    def set_unit_order(
        self, order_by: str, filter_data: UnitFlowFilter | dict[str, Any] | None = None
    ) -> UnitFlowResult: ...
    def set_unit_flow_visibility(
        self,
        show_operations: list[str] | None = None,
        hide_operations: list[str] | None = None,
        filter_data: UnitFlowFilter | dict[str, Any] | None = None,
    ) -> UnitFlowResult: ...
    def show_operations(
        self, operation_ids: list[str], filter_data: UnitFlowFilter | dict[str, Any] | None = None
    ) -> UnitFlowResult: ...
    def hide_operations(
        self, operation_ids: list[str], filter_data: UnitFlowFilter | dict[str, Any] | None = None
    ) -> UnitFlowResult: ...
    def expand_operations(
        self, expand: bool = True, filter_data: UnitFlowFilter | dict[str, Any] | None = None
    ) -> UnitFlowResult: ...
    def get_bottlenecks(
        self, filter_data: UnitFlowFilter | dict[str, Any] | None = None, min_yield_threshold: float = 95.0
    ) -> list[UnitFlowNode]: ...
    def get_flow_summary(self, filter_data: UnitFlowFilter | dict[str, Any] | None = None) -> dict[str, Any]: ...
    def get_measurement_list(
        self, filter_data: dict[str, Any], step_filters: str, sequence_filters: str
    ) -> list[MeasurementListItem]: ...
    def get_measurement_list_by_product(
        self, product_group_id: str, level_id: str, days: int, step_filters: str, sequence_filters: str
    ) -> list[MeasurementListItem]: ...
    def get_step_status_list(
        self, filter_data: dict[str, Any], step_filters: str, sequence_filters: str
    ) -> list[StepStatusItem]: ...
    def get_step_status_list_by_product(
        self, product_group_id: str, level_id: str, days: int, step_filters: str, sequence_filters: str
    ) -> list[StepStatusItem]: ...
    def get_top_failed_internal(
        self, filter_data: dict[str, Any], top_count: int | None = None
    ) -> list[TopFailedStep]: ...
    def get_top_failed_by_product(
        self, part_number: str, process_code: str, product_group_id: str, level_id: str, days: int, count: int = 10
    ) -> list[TopFailedStep]: ...
    def get_alarm_logs(
        self,
        alarm_type: AlarmType | None = None,
        top_count: int | None = None,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        product_group: str | None = None,
        level: str | None = None,
    ) -> list[AlarmLog]: ...
