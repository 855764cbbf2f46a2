//! Logs by `tracing`, metrics for Prometheus.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one of `tracing-subscriber`.
    #[error("log filter {filter:?}: {source}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Started twice.
    #[error("telemetry was started before in this process")]
    Twice,
}

/// Checks a filter such as `info,pds_log_server=debug`.
///
/// # Errors
/// [`TelemetryError::Filter`].
pub fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })
}

/// Starts logging to standard error, and collecting metrics. Once a process.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(format: LogFormat, filter: &str) -> Result<PrometheusHandle, TelemetryError> {
    let filter = parse_filter(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| TelemetryError::Twice)?;
    PrometheusBuilder::new().install_recorder().map_err(|_| TelemetryError::Twice)
}
