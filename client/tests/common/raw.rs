//! A server that speaks just enough HTTP to misbehave.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What follows the head of an answer.
#[derive(Clone, Copy)]
pub enum Body {
    /// Bytes without end.
    Endless,
    /// One byte, and then nothing.
    Stalls,
}

/// Answers every request with these header lines and body; gives its URL.
pub async fn serve(headers: &'static str, body: Body) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                match body {
                    // Until the client hangs up.
                    Body::Endless => while stream.write_all(&[0x58; 1 << 16]).await.is_ok() {},
                    Body::Stalls => {
                        let _ = stream.write_all(&[0xa5]).await;
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    url
}
