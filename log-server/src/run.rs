//! Running the server: recovery, the two threads, HTTP, and an orderly end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use metrics_exporter_prometheus::PrometheusHandle;
use pds_core::acceptance::Acceptance;
use pds_files::durable;
use pds_service::{http, telemetry};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::builder::Builder;
use crate::config::Config;
use crate::control::{self, Control};
use crate::epoch_writer::EpochContent;
use crate::http::{Api, router};
use crate::identity::PublicIdentity;
use crate::queue::Queue;
use crate::recovery;
use crate::sequencer::{Command, Rules, Sequencer, now};
use crate::shared::Shared;

/// Time between two upkeeps of the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT, or until starting fails.
///
/// # Errors
/// What kept it from starting.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let metrics = telemetry::start(config.log_format, &config.log_filter)?;
    check_confinement(config)?;
    config.http.reserve_files()?;
    let mut writer = recovery::open(config)?;
    let published = match recovery::published(&writer)? {
        Some(published) => published,
        None => writer.close(now(), EpochContent::default()).context("close epoch 0")?,
    };
    let store = Arc::clone(&writer.store);
    let queue = Queue::load(&store)?;
    let next_index = store.next_queue_index().context("read queue")?;
    let shared = Arc::new(Shared::new(Arc::clone(&store), published));
    let identity = PublicIdentity::load(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Before the threads begin, so that nothing that fails from here on leaves them behind.
    let (listener, termination) = runtime.block_on(listen(config))?;
    let control = Control::new(&config.data_dir, store);
    let control_socket = runtime.block_on(async { control.listen() })?;

    let (commands, inbox) = mpsc::channel();
    let (places, places_inbox) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let builder = Builder {
        recipe: config.recipe(),
        acceptance: Acceptance::of_policy(&config.policy())?,
        policy: *writer.policy.digest(),
        shared: Arc::clone(&shared),
        stop: Arc::clone(&stop),
    };
    let decisions = commands.clone();
    let sequencer = Sequencer::new(Rules::of(config), writer, Arc::clone(&shared), queue, next_index, places);
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let builder = thread("builder").spawn(move || builder.run(&places_inbox, &decisions))?;
    let sequencer = thread("sequencer").spawn(move || sequencer.run(&inbox))?;

    runtime.spawn(control.serve(control_socket));
    let api = Api::new(shared, identity, commands.clone(), metrics);
    let served = runtime.block_on(serve(config, listener, termination, api, &commands, sequencer));
    stop.store(true, Ordering::Relaxed);
    // The submission that the builder is at stays in the queue.
    let built = builder.join();
    control::remove_socket(&config.data_dir).context("remove the control socket")?;
    served?;
    ensure!(built.is_ok(), "the builder ended in panic; see above");
    info!("ended");
    Ok(())
}

/// Listens, and watches for the signals that end the process.
async fn listen(
    config: &Config,
) -> anyhow::Result<(TcpListener, impl Future<Output = &'static str> + Send + use<>)> {
    let termination = http::termination().context("watch signals")?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("listen on {}", config.listen))?;
    if let Some(file) = &config.address_file {
        durable::replace(file, format!("{}\n", listener.local_addr()?).as_bytes())
            .with_context(|| format!("write {}", file.display()))?;
    }
    Ok((listener, termination))
}

async fn serve(
    config: &Config,
    listener: TcpListener,
    termination: impl Future<Output = &'static str>,
    api: Api,
    commands: &mpsc::Sender<Command>,
    sequencer: JoinHandle<()>,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let size = api.shared.published().head.size;
    info!(origin = config.origin, %address, epochs = size.0, "listening");
    let upkeep = tokio::spawn(keep_up(api.metrics.clone()));
    let (drain, drained) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(http::serve(listener, router(api), config.http.clone(), async {
        let _ = drained.await;
    }));
    let mut sequencer = tokio::task::spawn_blocking(move || sequencer.join());
    let ended = tokio::select! {
        ended = &mut sequencer => ended,
        signal = termination => {
            info!(signal, grace_s = config.shutdown_grace_s, "finishing what was accepted");
            // New submissions are refused from here on; reads go on until the last epoch is closed.
            let _ = commands.send(Command::Finish(Instant::now() + Duration::from_secs(config.shutdown_grace_s)));
            sequencer.await
        }
    };
    upkeep.abort();
    let _ = drain.send(());
    server.await.context("serve")?;
    ensure!(ended?.is_ok(), "the sequencer ended in panic; see above");
    Ok(())
}

/// Sums up what histograms were given, which is otherwise kept one by one until somebody asks for the metrics.
async fn keep_up(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

fn check_confinement(config: &Config) -> anyhow::Result<()> {
    if !config.allow_unconfined {
        bail!(
            "there is no sandbox for the compiler yet: a hostile source can make it read what this process can read. Run this \
             only for sources you trust, on a machine of its own, and say so with allow_unconfined = true"
        );
    }
    warn!("the compiler runs UNCONFINED (allow_unconfined = true); every build environment says so");
    let compiler = config.recipe().compiler_file();
    let version = std::process::Command::new(&compiler).arg("--version").output();
    let works = version.as_ref().is_ok_and(|output| output.status.success());
    ensure!(works, "the compiler {} does not run: install clang, or set `compiler`", compiler.display());
    Ok(())
}
