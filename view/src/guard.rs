//! Who is answered: this machine's own browser on this page, not another page in it.
//!
//! A page of somewhere else may point its own name at this machine (DNS rebinding): its requests carry that name in `Host`.
//! It may also ask across origins: such requests carry its own name in `Origin`, or are marked `cross-site`.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, HOST, ORIGIN},
    uri::Authority,
};

use crate::error::{Error, Result};

/// What every answer carries: nothing but this server's own files runs on the page, and no other page shows it.
pub fn headers() -> [(HeaderName, HeaderValue); 7] {
    [
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'",
            ),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ]
}

/// Whether a request with these headers is answered; `hosts` are allowed besides addresses and `localhost`.
///
/// # Errors
/// [`Error::Refused`], with words for whoever meant well.
pub fn check(headers: &HeaderMap, hosts: &[String]) -> Result<()> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = match headers.contains_key(HOST) {
        // Every browser sends it; what does not is no browser.
        false => None,
        true => Some(text(&HOST).and_then(|host| host.parse::<Authority>().ok()).ok_or_else(|| unknown("?"))?),
    };
    if let Some(host) = &host
        && !is_allowed(host.host(), hosts)
    {
        return Err(unknown(host.host()));
    }
    if headers.contains_key(ORIGIN) {
        let origin = text(&ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
        let same = origin.zip(host.as_ref()).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host.as_str()));
        if !same {
            return Err(Error::Refused("Pages of other hosts are not answered.".into()));
        }
    }
    let fetched = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A link from elsewhere may open the page; nothing else of elsewhere gets anything.
    if fetched("sec-fetch-site") == Some("cross-site") && fetched("sec-fetch-mode") != Some("navigate") {
        return Err(Error::Refused("Pages of other hosts are not answered.".into()));
    }
    Ok(())
}

fn is_allowed(host: &str, hosts: &[String]) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok()
        || hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
}

fn unknown(host: &str) -> Error {
    Error::Refused(format!(
        "Requests for the host '{host}' are not answered: use 127.0.0.1 or localhost, or allow the name."
    ))
}
