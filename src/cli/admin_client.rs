//! How commands talk to a running Breadbox: one request to its admin listener over HTTP/1.1, with the
//! token. It decides nothing about the answer.

use crate::config::Config;
use anyhow::{Context, bail};
use http::Uri;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// To connect, and between two reads.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MAX_ANSWER: u64 = 64 << 20;

/// Which Breadbox, and by what right.
#[derive(clap::Args)]
pub(crate) struct Target {
    /// The admin listener, as in http://127.0.0.1:9145; by default the configuration's.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The admin token; by default the configuration's.
    #[arg(long, value_name = "TOKEN", env = "BREADBOX_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The configuration that says where the admin listener is.
    #[arg(long, value_name = "FILE", default_value = super::run::DEFAULT_CONFIG)]
    config: PathBuf,
}

impl Target {
    /// The arguments, completed from the configuration where that is needed.
    fn client(&self) -> anyhow::Result<AdminClient> {
        match &self.admin {
            Some(url) => AdminClient::of_url(url, self.token.clone()),
            None => AdminClient::of_config(&Config::load(&self.config)?, self.token.clone()),
        }
    }

    /// Posts a document and returns the one that comes back.
    ///
    /// # Errors
    /// Nobody answers there, or the answer is no; the sentence is for the operator and never has the token.
    pub(super) fn post(&self, path: &str, document: &Value) -> anyhow::Result<Value> {
        let answer = self.client()?.post(path, &document.to_string())?;
        let document: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        match answer.status {
            200 => Ok(document),
            401 => bail!("the token is wrong; give the one of admin.token with --token or BREADBOX_ADMIN_TOKEN"),
            403 => bail!("this Breadbox has no admin.token, so it refuses every change; set one in its proxy.yaml"),
            status => match document["error"].as_str() {
                Some(why) => bail!("{why}"),
                None => bail!("the admin listener answered {status}"),
            },
        }
    }
}

/// Where the admin listener is and what lets one in.
#[derive(Clone, Debug)]
pub(super) struct AdminClient {
    authority: String,
    token: Option<String>,
}

/// What the listener answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AdminAnswer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl AdminClient {
    /// A client for `http://HOST[:PORT]`.
    pub(super) fn of_url(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http")).with_context(|| {
            format!("`{url}` is no address of an admin listener; it should look like http://127.0.0.1:9145")
        })?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.with_context(|| format!("`{url}` names no host"))?;
        let port = authority.port_u16().unwrap_or(80);
        let token = token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| token.chars().any(char::is_control)) {
            bail!("the token has a control character");
        }
        Ok(AdminClient { authority: format!("{}:{port}", authority.host()), token })
    }

    /// A client for the admin listener of this configuration, with its token unless another is given.
    pub(super) fn of_config(config: &Config, token: Option<String>) -> anyhow::Result<Self> {
        let address = reachable(config.admin.address);
        let own = || config.admin.token.as_ref().map(|token| token.to_string());
        AdminClient::of_url(&format!("http://{address}"), token.filter(|token| !token.is_empty()).or_else(own))
    }

    /// Sends a GET for `target` that accepts `accept`.
    pub(super) fn get(&self, target: &str, accept: &str) -> anyhow::Result<AdminAnswer> {
        self.ask(&format!("GET {target} HTTP/1.1\r\nAccept: {accept}\r\n"), "")
    }

    /// Sends a POST with a JSON body.
    fn post(&self, target: &str, body: &str) -> anyhow::Result<AdminAnswer> {
        let length = body.len();
        self.ask(
            &format!("POST {target} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"),
            body,
        )
    }

    fn ask(&self, start: &str, body: &str) -> anyhow::Result<AdminAnswer> {
        let mut request = format!("{start}Host: {}\r\n", self.authority);
        if let Some(token) = &self.token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        request += &format!("Connection: close\r\n\r\n{body}");
        let answer = self.exchange(request.as_bytes());
        let answer = answer.with_context(|| {
            format!("cannot talk to the admin listener at {}; is Breadbox running?", self.authority)
        })?;
        parse(&answer).with_context(|| format!("{} does not answer as an admin listener does", self.authority))
    }

    fn exchange(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Every address can be listened on, but not every one be connected to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Status and body of a whole answer with `Content-Length`, which the admin listener always sends.
fn parse(answer: &[u8]) -> Option<AdminAnswer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    let length = head.lines().find_map(field)?;
    let body = answer[end + 4..].get(..length)?;
    Some(AdminAnswer { status, body: String::from_utf8_lossy(body).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_only_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-length: 2\r\n\r\nhi";
        assert_eq!(parse(whole), Some(AdminAnswer { status: 200, body: "hi".into() }));
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(parse(b"SSH-2.0-OpenSSH\r\n\r\n\r\n"), None);
    }

    #[test]
    fn only_the_url_of_a_listener_is_one() {
        for (url, authority) in [("http://127.0.0.1:9145", "127.0.0.1:9145"), ("http://[::1]:1/", "[::1]:1")] {
            assert_eq!(AdminClient::of_url(url, None).unwrap().authority, authority);
        }
        for url in ["127.0.0.1:9145", "https://127.0.0.1:9145", "http://a:b@c", ""] {
            assert!(AdminClient::of_url(url, None).is_err(), "{url}");
        }
        assert!(AdminClient::of_url("http://a", Some("a\r\nb: c".into())).is_err());
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()), "127.0.0.1:1".parse().unwrap());
        assert_eq!(reachable("[::]:1".parse().unwrap()), "[::1]:1".parse().unwrap());
    }
}
