//! HTTP with bounds: on time, on bytes, on what is followed.
//!
//! One GET or POST at a time. An answer is read up to the caller's cap and not a byte further, redirects are not
//! followed (a validator is where its URL says), and a server that is busy is asked again only as often, and as late,
//! as it says within reason. What came is not looked at here: see [`crate::api`].

use std::sync::Once;
use std::time::Duration;

use pds_schemas::json::Problem;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

/// Most bytes of an error answer that are read.
const PROBLEM_BYTES: usize = 64 << 10;
/// How often a request is made in all when the server says that it is busy.
const TRIES: u32 = 4;
/// Longest wait before asking a busy server again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long to wait for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub idle: Duration,
    /// For all of a request and its answer.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 10 s, 30 s, 10 min.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(600),
        }
    }
}

/// Why there is no answer, or none that is read.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not an http or https URL that paths can be put behind.
    #[error("{0:?} is not a URL like https://validator.example/")]
    Url(String),
    /// The TLS stack or the client cannot be set up.
    #[error("set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// No connection, or it broke.
    #[error("request {url}")]
    Request {
        /// What was asked for.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// Not in time.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// The server points elsewhere.
    #[error("{url} redirects to {to:?}; redirects are not followed")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where it points.
        to: String,
    },
    /// The server refuses, and says why.
    #[error("{url} answers {}: {}", problem.status, problem.detail)]
    Problem {
        /// What was asked for.
        url: String,
        /// What it says.
        problem: Box<Problem>,
        /// How long it asks to wait, if it is busy and says so.
        retry_after: Option<Duration>,
    },
    /// The server refuses without a reason that could be read.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// How it answers.
        status: StatusCode,
        /// How long it asks to wait, if it is busy and says so.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than such an answer may be.
    #[error("{url} answers with more than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// Most that is read.
        limit: usize,
    },
    /// The answer is of another type than asked for.
    #[error("{url} answers with {found:?}, {expected} is expected")]
    ContentType {
        /// What was asked for.
        url: String,
        /// Media type asked for.
        expected: &'static str,
        /// Media type of the answer.
        found: String,
    },
}

impl HttpError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem { problem, .. } => Some(problem.status),
            Self::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// How long a busy server asks to wait before it is asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server looked at what it was asked and said no, so that asking again is of no use.
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|s| (400..500).contains(&s) && s != 408 && s != 429)
    }

    /// Whether there was an answer, and it was none that an honest server gives.
    pub fn is_nonsense(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::ContentType { .. })
    }
}

/// A bounded HTTP client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    /// How often a request is made in all when the server says that it is busy.
    tries: u32,
}

impl Http {
    /// A client with these timeouts.
    ///
    /// # Errors
    /// [`HttpError::Setup`].
    pub fn new(timeouts: Timeouts) -> Result<Self, HttpError> {
        install_crypto_provider();
        let client = Client::builder()
            .user_agent(concat!("pds/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.idle)
            .timeout(timeouts.total)
            .build()
            .map_err(HttpError::Setup)?;
        Ok(Self { client, tries: TRIES })
    }

    /// The same, but a busy server is not asked again: that is left to the caller, who learns how long to wait.
    pub fn once(self) -> Self {
        Self { tries: 1, ..self }
    }

    /// The body of a GET, at most `cap` bytes. With `expect`, the answer must be of that media type.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn get(
        &self,
        url: &Url,
        expect: Option<&'static str>,
        cap: usize,
    ) -> Result<Vec<u8>, HttpError> {
        let request = self.client.get(url.clone()).header(ACCEPT, expect.unwrap_or("*/*"));
        let response = send(url, request, self.tries).await?;
        check_type(url, expect, response.headers())?;
        body(url, response, cap).await
    }

    /// The JSON that answers a POST of `bytes`, at most `cap` bytes.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn post(
        &self,
        url: &Url,
        media_type: &'static str,
        bytes: Vec<u8>,
        cap: usize,
    ) -> Result<Vec<u8>, HttpError> {
        let request = self.client.post(url.clone()).header(CONTENT_TYPE, media_type).header(ACCEPT, JSON);
        let response = send(url, request.body(bytes), self.tries).await?;
        check_type(url, Some(JSON), response.headers())?;
        body(url, response, cap).await
    }
}

/// Media type of JSON.
pub const JSON: &str = "application/json";
/// Media type of CBOR.
pub const CBOR: &str = "application/cbor";

/// Reads a server's URL: http or https, to be followed by paths.
///
/// # Errors
/// [`HttpError::Url`].
pub fn parse_base(text: &str) -> Result<Url, HttpError> {
    let refused = || HttpError::Url(text.to_owned());
    let mut url = Url::parse(text).map_err(|_| refused())?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
        return Err(refused());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// One provider for the whole process. Somebody else's, installed before, serves as well.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

async fn send(url: &Url, request: RequestBuilder, tries: u32) -> Result<Response, HttpError> {
    let mut left = tries;
    loop {
        left -= 1;
        let again = request.try_clone().expect("a body of bytes can be sent again");
        let response = again.send().await.map_err(|source| broken(url, source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).map(|to| to.as_bytes().escape_ascii().to_string());
            return Err(HttpError::Redirect { url: url.to_string(), to: to.unwrap_or_default() });
        }
        let wait = again_after(retry_after(status, response.headers()), left);
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(refusal(url, response).await),
        }
    }
}

/// How long a busy server asks to wait.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long to wait before one of the tries `left`, if there is one and the wait is bearable.
fn again_after(asked: Option<Duration>, left: u32) -> Option<Duration> {
    asked.filter(|wait| left > 0 && *wait <= LONGEST_WAIT)
}

async fn refusal(url: &Url, response: Response) -> HttpError {
    let status = response.status();
    let retry_after = retry_after(status, response.headers());
    let bytes = body(url, response, PROBLEM_BYTES).await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&bytes) {
        // What is shown to a person is one plain line, whatever the server put in.
        Ok(mut problem) => {
            problem.status = status.as_u16();
            problem.detail = problem.detail.chars().filter(|c| !c.is_control()).take(1000).collect();
            HttpError::Problem { url: url.to_string(), problem: Box::new(problem), retry_after }
        }
        Err(_) => HttpError::Status { url: url.to_string(), status, retry_after },
    }
}

fn check_type(url: &Url, expect: Option<&'static str>, headers: &HeaderMap) -> Result<(), HttpError> {
    let Some(expected) = expect else { return Ok(()) };
    let found = headers.get(CONTENT_TYPE).map_or(String::new(), |v| v.as_bytes().escape_ascii().to_string());
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(HttpError::ContentType { url: url.to_string(), expected, found })
}

async fn body(url: &Url, mut response: Response, cap: usize) -> Result<Vec<u8>, HttpError> {
    let too_large = || HttpError::TooLarge { url: url.to_string(), limit: cap };
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|source| broken(url, source))? {
        if bytes.len() + chunk.len() > cap {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn broken(url: &Url, source: reqwest::Error) -> HttpError {
    match source.is_timeout() {
        true => HttpError::Timeout(url.to_string()),
        false => HttpError::Request { url: url.to_string(), source: source.without_url() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_url_ends_in_a_slash_or_is_refused() {
        let check = |text: &str, expect: &str| assert_eq!(parse_base(text).unwrap().as_str(), expect);
        check("http://127.0.0.1:7400", "http://127.0.0.1:7400/");
        check("https://pv.example/log", "https://pv.example/log/");
        check("https://pv.example/log/", "https://pv.example/log/");
        for text in
            ["", "pv.example", "ftp://pv.example", "http://a/?q", "http://a/#f", "http://me@a/", "file:///a"]
        {
            assert!(matches!(parse_base(text), Err(HttpError::Url(_))), "{text}");
        }
    }

    #[test]
    fn busy_server_is_heeded_within_reason() {
        let seconds = Duration::from_secs;
        assert_eq!(again_after(Some(seconds(30)), 1), Some(seconds(30)));
        assert_eq!(again_after(Some(seconds(31)), 1), None);
        assert_eq!(again_after(Some(seconds(0)), 0), None);
        assert_eq!(again_after(None, 1), None);
    }

    #[test]
    fn busy_server_says_how_long_to_wait() {
        let check = |status: u16, after: &str, expect: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, after.parse().unwrap())]);
            let found = retry_after(StatusCode::from_u16(status).unwrap(), &headers);
            assert_eq!(found, expect.map(Duration::from_secs), "{status} {after}");
        };
        check(429, "0", Some(0));
        check(503, "30", Some(30));
        check(503, "31", Some(31));
        check(503, "Wed, 21 Oct 2026 07:28:00 GMT", None);
        check(500, "1", None);
    }
}
