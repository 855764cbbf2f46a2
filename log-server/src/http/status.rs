//! How the validator is.

use axum::extract::State;
use axum::http::StatusCode;
use metrics::gauge;
use pds_service::problem::Problem;
use pds_store::Statistics;

use super::Api;
use super::respond::{Answer, TEXT, fleeting, internal};

/// `GET /`: who this is, for a person.
pub async fn landing(State(api): State<Api>) -> Answer {
    let published = api.shared.published();
    let text = format!(
        "plugin validator {}\n\nlog key  {}\nSTR key  {}\nepoch    {}\nnames    {}\n\n\
         Take keys from somewhere you trust, not from here.\n",
        api.identity.log.origin(),
        api.identity.log,
        api.identity.str,
        published.str.epoch,
        published.str.names,
    );
    Ok(fleeting(TEXT, text))
}

/// `GET /healthz`: the process answers.
pub async fn healthz() -> Answer {
    Ok(fleeting(TEXT, "ok\n"))
}

/// `GET /readyz`: the process also accepts and signs.
pub async fn readyz(State(api): State<Api>) -> Answer {
    match api.shared.halted() {
        None => Ok(fleeting(TEXT, "ready\n")),
        Some(reason) => {
            let detail = format!("serving what is published; accepting and signing nothing: {reason}");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "halted", detail))
        }
    }
}

/// `GET /metrics`, for Prometheus.
pub async fn metrics(State(api): State<Api>) -> Answer {
    let statistics = api.shared.store.statistics().map_err(|e| internal("read statistics", e))?;
    store_figures(&statistics);
    Ok(fleeting("text/plain; version=0.0.4; charset=utf-8", api.metrics.render()))
}

/// The database as an operator watches it: what it holds and caches, and whether compaction keeps up with writing.
fn store_figures(statistics: &Statistics) {
    for family in &statistics.families {
        let label = [("family", family.family.to_string())];
        gauge!("pds_store_keys", &label).set(family.keys as f64);
        gauge!("pds_store_table_bytes", &label).set(family.table_bytes as f64);
        gauge!("pds_store_memtable_bytes", &label).set(family.memory_bytes as f64);
        gauge!("pds_store_table_reader_bytes", &label).set(family.reader_bytes as f64);
        gauge!("pds_store_pending_compaction_bytes", &label).set(family.pending_compaction_bytes as f64);
        gauge!("pds_store_compaction_pending", &label).set(f64::from(u8::from(family.compaction_pending)));
    }
    gauge!("pds_store_running_compactions").set(statistics.running_compactions as f64);
    gauge!("pds_store_running_flushes").set(statistics.running_flushes as f64);
    gauge!("pds_store_write_stopped").set(f64::from(u8::from(statistics.write_stopped)));
    gauge!("pds_store_delayed_write_bytes_per_second").set(statistics.delayed_write_rate as f64);
    gauge!("pds_store_block_cache_bytes").set(statistics.block_cache_bytes as f64);
    gauge!("pds_store_block_cache_capacity_bytes").set(statistics.block_cache_capacity_bytes as f64);
    gauge!("pds_store_block_cache_pinned_bytes").set(statistics.block_cache_pinned_bytes as f64);
    gauge!("pds_store_background_errors").set(statistics.background_errors as f64);
}
