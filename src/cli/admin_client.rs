//! How a command talks to the admin listener of a running Breadbox: one request, bounded in time and
//! size, over plain HTTP, since the listener is on loopback or behind a network of the operator's.

use crate::config::Config;
use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// To connect, and between two reads or writes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of the largest answer.
const MAX_ANSWER: u64 = 16 << 20;

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

/// Where the request goes.
struct Place {
    /// Host and port.
    authority: String,
    token: Option<String>,
}

impl Target {
    /// The arguments, completed from the configuration where that is needed.
    fn place(&self) -> anyhow::Result<Place> {
        let token = self.token.clone().filter(|token| !token.is_empty());
        if let Some(url) = &self.admin {
            return Ok(Place { authority: authority(url)?, token });
        }
        let config = Config::load(&self.config)?;
        let mut address = config.admin.address;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        let token = token.or_else(|| config.admin.token.as_deref().map(str::to_owned));
        Ok(Place { authority: address.to_string(), token })
    }
}

fn authority(url: &str) -> anyhow::Result<String> {
    let right = "write it as http://127.0.0.1:9145";
    let uri: http::Uri = url.parse().with_context(|| format!("--admin {url} is not a URL; {right}"))?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let Some(authority) = authority.filter(|_| uri.scheme_str() == Some("http") && matches!(uri.path(), "/" | ""))
    else {
        bail!("--admin {url} is not the URL of an admin listener; {right}");
    };
    let port = authority.port_u16().unwrap_or(80);
    Ok(format!("{}:{port}", authority.host()))
}

/// Posts a document and returns the one that comes back.
///
/// # Errors
/// Nobody answers there, or the answer is no; the sentence is for the operator and never has the token.
pub(super) fn post(target: &Target, path: &str, document: &Value) -> anyhow::Result<Value> {
    let place = target.place()?;
    let body = document.to_string();
    let authority = &place.authority;
    let token = place.token.as_deref().unwrap_or_default();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("the token has a character that cannot be sent");
    }
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let answer = exchange(authority, format!("{head}{body}").as_bytes())
        .with_context(|| format!("cannot talk to the admin listener at {authority}; is Breadbox running?"))?;
    let (status, body) =
        understood(&answer).with_context(|| format!("{authority} does not answer as Breadbox does"))?;
    let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    match status {
        200 => Ok(document),
        401 => bail!("the token is wrong; give the one of admin.token with --token or BREADBOX_ADMIN_TOKEN"),
        403 => bail!("this Breadbox has no admin.token, so it refuses every change; set one in its proxy.yaml"),
        _ => match document["error"].as_str() {
            Some(why) => bail!("{why}"),
            None => bail!("the admin listener answered {status}"),
        },
    }
}

fn exchange(authority: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut last = std::io::Error::other("the name has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return ask(stream, request),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask(mut stream: TcpStream, request: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Status and body of an answer that ends with its connection and has a `Content-Length`.
fn understood(answer: &[u8]) -> anyhow::Result<(u16, &[u8])> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(end) = head.parse(answer)? else { bail!("the answer broke off") };
    let body = &answer[end..];
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    if length != Some(body.len()) {
        bail!("the answer broke off");
    }
    Ok((head.code.unwrap_or_default(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_url_of_a_listener_is_one() {
        assert_eq!(authority("http://127.0.0.1:9145").unwrap(), "127.0.0.1:9145");
        assert_eq!(authority("http://[::1]:9145/").unwrap(), "[::1]:9145");
        assert_eq!(authority("http://admin.internal").unwrap(), "admin.internal:80");
        for url in ["", "127.0.0.1:9145", "https://a:1", "http://a/b", "http://u@a:1", "http://"] {
            assert!(authority(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_answer_that_broke_off_is_none() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(understood(whole).unwrap(), (200, &b"{}"[..]));
        for broken in [&whole[..whole.len() - 1], &whole[..20], b"", b"SSH-2.0\r\n\r\n"] {
            assert!(understood(broken).is_err());
        }
    }
}
