//! nginx as a peer: files from a folder, two workers as our server has, everything that would slow it down off.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::process::Server;

/// Where Debian has it.
const BINARIES: [&str; 2] = ["/usr/sbin/nginx", "/usr/bin/nginx"];
/// Ports that are tried: another process can take one that was just found free.
const TRIES: usize = 5;

/// Where nginx is; `make bench-deps` installs it.
pub fn binary() -> Option<PathBuf> {
    BINARIES.iter().map(PathBuf::from).find(|file| file.exists())
}

/// Serves the files in `folder`/files. What nginx itself needs goes into `folder`.
///
/// # Errors
/// When it does not start.
pub fn serve(binary: &Path, folder: &Path) -> anyhow::Result<Server> {
    let mut result = Err(anyhow::anyhow!("nginx was not tried"));
    for _ in 0..TRIES {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        fs::write(folder.join("nginx.conf"), config(folder, address))?;
        let mut command = Command::new(binary);
        command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "nginx.error"]);
        result = Server::start(&command, || Some(address));
        if result.is_ok() {
            break;
        }
    }
    result.with_context(|| format!("see {}", folder.join("nginx.error").display()))
}

fn config(folder: &Path, address: SocketAddr) -> String {
    // Workers of a root's nginx would be another user's, who may not read the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("  {kind}_temp_path {folder}/temporary;\n")).concat();
    format!(
        "{user}daemon off;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.error crit;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n{temporary}  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000000;\n  \
         open_file_cache max=1000;\n  default_type application/octet-stream;\n  \
         server {{ listen {address}; root {folder}/files; }}\n}}\n"
    )
}
