//! Running the server: recovery, the sequencer's thread and the builders', HTTP, and an orderly end.

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

use crate::builder::{Builder, RETRY_AFTER};
use crate::config::Config;
use crate::control::{self, Control};
use crate::epoch_writer::EpochContent;
use crate::http::{Api, Uploads, router};
use crate::identity::PublicIdentity;
use crate::line::Line;
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
    config.http.reserve_files()?;
    if config.read_only {
        return serve_copy(config, metrics);
    }
    let mut writer = recovery::open(config)?;
    if writer.is_frozen() {
        info!("the log is frozen: serving what was published, and signing nothing more");
    } else if config.builders > 0 {
        check_confinement(config)?;
    }
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
    let (commands, inbox) = mpsc::channel();
    let control = Control::new(config, Arc::clone(&shared), commands.clone());
    let control_socket = runtime.block_on(async { control.listen() })?;

    let line = Line::new(config.builders, RETRY_AFTER);
    let stop = Arc::new(AtomicBool::new(false));
    let builder = Arc::new(Builder {
        recipe: config.recipe(),
        acceptance: Acceptance::of_policy(&config.policy())?,
        policy: *writer.policy.digest(),
        shared: Arc::clone(&shared),
        stop: Arc::clone(&stop),
    });
    let places = queue.places();
    let sequencer =
        Sequencer::new(Rules::of(config), writer, Arc::clone(&shared), queue, next_index, Arc::clone(&line));
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let build = |number: usize| {
        let (builder, line, decisions) = (Arc::clone(&builder), Arc::clone(&line), commands.clone());
        thread(&format!("builder-{number}")).spawn(move || builder.run(&line, &decisions))
    };
    let builders = (0..config.builders).map(build).collect::<Result<Vec<_>, _>>()?;
    let sequencer = thread("sequencer").spawn(move || sequencer.run(&inbox))?;

    runtime.spawn(control.serve(control_socket));
    let uploads = Uploads::new(config, places);
    let api =
        Api::new(shared, identity, commands.clone(), uploads, metrics).keeping(config.answer_cache_mib << 20);
    let end = sequencer_ends(config, termination, commands, sequencer);
    let served = runtime.block_on(serve(config, listener, api, end));
    stop.store(true, Ordering::Relaxed);
    line.close();
    // The submissions that builders are at stay in the queue.
    let built: Vec<_> = builders.into_iter().map(JoinHandle::join).collect();
    control::remove_socket(&config.data_dir).context("remove the control socket")?;
    served?;
    ensure!(built.iter().all(Result::is_ok), "a builder ended in panic; see above");
    info!("ended");
    Ok(())
}

/// Serves what the data folder holds, and does nothing else, until SIGTERM or SIGINT.
fn serve_copy(config: &Config, metrics: PrometheusHandle) -> anyhow::Result<()> {
    let (store, published) = recovery::open_to_serve(config)?;
    let shared = Arc::new(Shared::read_only(store, published));
    let identity = PublicIdentity::load(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (listener, termination) = runtime.block_on(listen(config))?;
    info!("read_only: serving a copy, and signing nothing");
    // Nobody hears commands, and nothing is refused later than at the door.
    let (commands, _) = mpsc::channel();
    let end = async {
        info!(signal = termination.await, "ending");
        Ok(())
    };
    let uploads = Uploads::new(config, Arc::default());
    let api = Api::new(shared, identity, commands, uploads, metrics).keeping(config.answer_cache_mib << 20);
    runtime.block_on(serve(config, listener, api, end))?;
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

/// Serves until `end`, and then what is under way.
async fn serve(
    config: &Config,
    listener: TcpListener,
    api: Api,
    end: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let size = api.shared.published().head.size;
    info!(origin = config.origin, %address, epochs = size.0, "listening");
    let upkeep = tokio::spawn(keep_up(api.metrics.clone()));
    let (drain, drained) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(http::serve(listener, router(api), config.http.clone(), async {
        let _ = drained.await;
    }));
    let ended = end.await;
    upkeep.abort();
    let _ = drain.send(());
    server.await.context("serve")?;
    ended
}

/// Waits for the sequencer's end, which a signal asks for.
async fn sequencer_ends(
    config: &Config,
    termination: impl Future<Output = &'static str>,
    commands: mpsc::Sender<Command>,
    sequencer: JoinHandle<()>,
) -> anyhow::Result<()> {
    let mut sequencer = tokio::task::spawn_blocking(move || sequencer.join());
    let ended = tokio::select! {
        ended = &mut sequencer => ended,
        signal = termination => {
            // Without builders there is nothing to wait for.
            let grace_s = if config.builders > 0 { config.shutdown_grace_s } else { 0 };
            info!(signal, grace_s, "finishing what was accepted");
            // New submissions are refused from here on; reads go on until the last epoch is closed.
            let _ = commands.send(Command::Finish(Instant::now() + Duration::from_secs(grace_s)));
            sequencer.await
        }
    };
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
