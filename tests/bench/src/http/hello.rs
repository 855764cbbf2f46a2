//! axum saying hello: what the framework under our server takes when it has nothing to do.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;

/// Serves until the process is ended, and writes the address into `address_file`.
///
/// # Errors
/// When it cannot listen.
pub fn serve(address_file: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        pds_files::durable::replace(address_file, format!("{}\n", listener.local_addr()?).as_bytes())?;
        // As our server has it.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, Router::new().route("/", get(|| async { "Hello, World!" }))).await?;
        Ok(())
    })
}
