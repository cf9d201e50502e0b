//! Which times a table takes, and which of its two stores they go to.

use std::time::Duration;

use hurtig_engine::time::{hours, millis, mins};

use crate::table::TableInfo;

/// How far ahead of now Timestream takes a record.
pub const FUTURE: Duration = mins(15);

/// The times that a table takes, relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    memory_ms: i64,
    magnetic_ms: Option<i64>,
}

/// Where a record goes by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// To the memory store.
    Memory,
    /// Older, to the magnetic store.
    Magnetic,
    /// Too old for the table.
    TooOld,
    /// More than fifteen minutes ahead.
    Future,
}

impl Window {
    /// Of this table.
    pub fn of(table: &TableInfo) -> Self {
        let span = |hours_| i64::checked_mul(hours_, millis(hours(1))).unwrap_or(i64::MAX);
        Window {
            memory_ms: span(table.memory_hours),
            magnetic_ms: table.magnetic_writes.then(|| span(table.magnetic_days.saturating_mul(24))),
        }
    }

    /// Where a record of this time goes, now.
    pub fn route(&self, time_ms: i64, now_ms: i64) -> Route {
        if time_ms > now_ms.saturating_add(millis(FUTURE)) {
            Route::Future
        } else if time_ms >= now_ms.saturating_sub(self.memory_ms) {
            Route::Memory
        } else if self.magnetic_ms.is_some_and(|span| time_ms >= now_ms.saturating_sub(span)) {
            Route::Magnetic
        } else {
            Route::TooOld
        }
    }

    /// Why a record of this time is not written.
    pub fn why_not(&self, route: Route, time_ms: i64, now_ms: i64) -> String {
        let by = now_ms.saturating_sub(time_ms);
        match (route, self.magnetic_ms) {
            (Route::Future, _) => {
                format!("its time is {} s ahead of now, Timestream takes {} s", -(by / 1_000), FUTURE.as_secs())
            }
            (_, Some(span)) => format!(
                "it is {} h old, older than the table's magnetic store keeps ({} d)",
                by / HOUR,
                span / HOUR / 24
            ),
            (_, None) => format!(
                "it is {} h old, older than the table's memory store keeps ({} h), and the table takes no writes into its \
                 magnetic store (EnableMagneticStoreWrites)",
                by / HOUR,
                self.memory_ms / HOUR
            ),
        }
    }
}

const HOUR: i64 = 3_600_000;
