use std::sync::mpsc;

use axum::extract::{Path, State};
use pds_core::log::MemoryLog;
use pds_core::log::tile::{TileAddress, decode_tile, tile_width_at};
use pds_schemas::{Digest, PosixTime, TreeSize};
use pds_service::http::Client;
use tempfile::TempDir;
use tower::ServiceExt;

use super::making::Asker;
use super::*;
use crate::config::tests::config_in;
use crate::epoch_writer::EpochContent;
use crate::identity;

/// What is served after so many epochs without names, and the log's root after each.
fn after_epochs(epochs: usize) -> (Api, Vec<Digest>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = config_in(folder.path());
    let identity = identity::init(&config).unwrap();
    let mut writer = crate::recovery::open(&config).unwrap();
    let mut roots = Vec::new();
    let mut published = writer.close(PosixTime(1), EpochContent::default()).unwrap();
    roots.push(published.head.log_root);
    for _ in 1..epochs {
        published = writer.close(PosixTime(1), EpochContent::default()).unwrap();
        roots.push(published.head.log_root);
    }
    let shared = Arc::new(Shared::new(Arc::clone(&writer.store), published));
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    let uploads = Uploads::new(&config, Arc::default());
    (Api::new(shared, identity, mpsc::channel().0, uploads, metrics), roots, folder)
}

async fn tile(api: &Api, address: TileAddress) -> Result<Vec<Digest>, u16> {
    let path = address.to_string().strip_prefix("tile/").unwrap().to_owned();
    let uri = format!("/{address}").parse().unwrap();
    let answer = log::tile(State(api.clone()), Asker(Client::Many), Path(path), uri).await;
    let answer = axum::response::IntoResponse::into_response(answer);
    if !answer.status().is_success() {
        return Err(answer.status().as_u16());
    }
    let bytes = axum::body::to_bytes(answer.into_body(), 8192).await.unwrap();
    Ok(decode_tile(&bytes, address.width()).unwrap())
}

// tlog-tiles: "Logs MUST serve partial tiles corresponding to tree sizes for which a checkpoint was produced, but MAY delete
// any partial tile once the corresponding full tile is […] available". Ours are read off the nodes, and stay.
#[tokio::test]
async fn partial_tiles_of_every_published_size_stay_once_the_full_tile_is_there() {
    let (api, roots, _folder) = after_epochs(258);
    for (size, root) in (1..).zip(&roots) {
        let mut log = MemoryLog::new();
        for index in 0..=1 {
            let Some(width) = tile_width_at(TreeSize(size), 0, index) else { continue };
            let hashes = tile(&api, TileAddress::new(0, index, width).unwrap()).await.unwrap();
            for hash in hashes {
                log.append(hash).unwrap();
            }
        }
        assert_eq!((log.size(), log.root()), (TreeSize(size), *root), "the checkpoint of {size} epochs");
    }
    assert_eq!(tile(&api, TileAddress::new(1, 0, 1).unwrap()).await.unwrap(), [roots[255]]);
    for beyond in [TileAddress::new(0, 1, 3), TileAddress::new(1, 0, 2), TileAddress::new(2, 0, 1)] {
        assert_eq!(tile(&api, beyond.unwrap()).await, Err(404));
    }
}

#[tokio::test]
async fn answers_from_the_disk_wait_for_their_clients_turn() {
    let (api, _, _folder) = after_epochs(2);
    let turns = making::tests::all_turns(&api.making).await;
    let targets = [
        "/epochs/0/changes",
        "/tile/0/000.p/2",
        "/tile/entries/000.p/2",
        "/plugins/a.b?epoch=0",
        "/plugins/a.b/history",
    ];
    let ask = |target: &str| {
        let request = Request::builder().uri(target).body(axum::body::Body::empty()).unwrap();
        tokio::spawn(router(api.clone()).oneshot(request))
    };
    let asked = targets.map(|target| (target, ask(target)));
    // What took no turn would be answered by a thread meanwhile.
    for _ in 0..100 {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    for (target, asked) in &asked {
        assert!(!asked.is_finished(), "{target}");
    }
    drop(turns);
    for (target, asked) in asked {
        let status = asked.await.unwrap().unwrap().status();
        assert!(!status.is_server_error(), "{target}: {status}");
    }
}
