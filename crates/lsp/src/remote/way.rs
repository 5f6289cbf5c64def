//! The way to a server: the one place of the language server that knows HTTP.
//!
//! A server on this machine is asked directly, whatever proxies the system names: a proxy must not see source code that was not to leave
//! the machine.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Client, Method, Url};
use serde_json::Value;

use crate::worker::Failed;

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How a server is reached.
#[derive(Clone)]
pub struct RemoteOptions {
    /// `http` or `https`, host and port.
    pub url: String,
    /// The key, where the server wants one.
    pub key: Option<String>,
    /// A file with certificates of authorities, besides the system's own.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A key is nobody's to read in a log.
        let key = self.key.as_ref().map(|_| "...");
        f.debug_struct("RemoteOptions")
            .field("url", &self.url)
            .field("key", &key)
            .field("ca", &self.ca)
            .finish()
    }
}

/// A server and the key for it.
pub(super) struct Server {
    client: Client,
    /// Its address.
    pub url: Url,
    key: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refused {
    /// The status, where the server has answered at all.
    pub status: Option<u16>,
    /// A sentence that names the server.
    pub reason: String,
}

impl Server {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    /// A sentence that names what is wrong with the address, the key or the certificates.
    pub fn new(options: &RemoteOptions) -> Result<Self, Failed> {
        let wrong = |what: &str, why: &dyn std::fmt::Display| Failed(format!("{what}: {why}"));
        let url = Url::parse(&options.url).map_err(|error| wrong(&options.url, &error))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            let why = "not an address such as https://host:8088";
            return Err(wrong(&options.url, &why));
        }
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            // A server that sends elsewhere is none of ours; the key stays here.
            .redirect(reqwest::redirect::Policy::none());
        if url.host_str().is_some_and(is_loopback) {
            client = client.no_proxy();
        }
        if let Some(path) = &options.ca {
            let shown = path.display().to_string();
            let pem = std::fs::read(path).map_err(|error| wrong(&shown, &error))?;
            let found =
                Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&shown, &error))?;
            if found.is_empty() {
                return Err(wrong(&shown, &"holds no certificate"));
            }
            for certificate in found {
                client = client.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            client: client
                .build()
                .map_err(|error| wrong("TLS", &reason_of(&error)))?,
            url,
            key: options.key.clone(),
        })
    }

    /// Asks and waits for `time` at most.
    ///
    /// # Errors
    /// [`Refused`], for an answer that is none, too.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        time: Duration,
    ) -> Result<Value, Refused> {
        let refused = |status: Option<u16>, why: &str| {
            let status_shown = status.map_or(String::new(), |status| format!(" ({status})"));
            Refused {
                status,
                reason: format!("{}{status_shown}: {why}", self.url),
            }
        };
        let url = self.url.join(path);
        let url = url.map_err(|error| refused(None, &error.to_string()))?;
        let mut request = self.client.request(method, url).timeout(time);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json");
            request = request.body(body.to_string());
        }
        let answered = async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let answered = answered.await;
        let (status, bytes) = answered.map_err(|error| refused(None, &reason_of(&error)))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let message = value.pointer("/error/message").and_then(Value::as_str);
        let message = message.unwrap_or("no Nestor answers there");
        Err(refused(Some(status.as_u16()), message))
    }
}

/// Whether a host, as it stands in an address, is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = |ip: IpAddr| ip.is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_local)
}

/// An error with what caused it: the first sentence of an HTTP client's error says little.
#[must_use]
pub fn reason_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> RemoteOptions {
        RemoteOptions {
            url: url.to_owned(),
            key: Some("geheim".to_owned()),
            ca: None,
        }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for (url, expected) in [
            ("http://127.0.0.1:8088", true),
            ("http://127.9.9.9", true),
            ("https://localhost:1", true),
            ("http://[::1]:8088/", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("https://code.corp", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_loopback(url.host_str().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn wrong_addresses_are_named_and_keys_are_not() {
        for wrong in ["code.corp", "ftp://code.corp", "http://"] {
            let Err(Failed(reason)) = Server::new(&options(wrong)) else {
                panic!("{wrong}");
            };
            assert!(reason.contains(wrong), "{reason}");
        }
        assert!(!format!("{:?}", options("http://a")).contains("geheim"));
    }
}
