//! Signature Version 4: whether a request was signed with a key that is known, lately, and as it has arrived.
//!
//! The request is signed again with the key's secret, by AWS's own signer, and the signatures are compared.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use axum::http::{HeaderMap, header::AUTHORIZATION};
use jiff::{civil::DateTime, tz::TimeZone};
use subtle::ConstantTimeEq;

use super::{
    fault::{Fault, Kind},
    keys::AccessKeys,
};

/// How far a request's date may be from the clock.
const SKEW_MS: i64 = 5 * 60 * 1_000;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
const SERVICE: &str = "timestream";

/// The `Authorization` header, taken apart.
struct Authorization<'a> {
    key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// The access key that a `POST /` was signed with.
pub fn verify(headers: &HeaderMap, body: &[u8], keys: &AccessKeys, now_ms: i64) -> Result<String, Fault> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Err(Fault::new(Kind::MissingAuthenticationToken, "Missing Authentication Token"));
    };
    let authorization = header.to_str().ok().and_then(Authorization::parse).ok_or_else(|| {
        incomplete("Authorization header requires AWS4-HMAC-SHA256 with 'Credential', 'SignedHeaders' and 'Signature'.")
    })?;
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = date.ok_or_else(|| incomplete("Authorization header requires existence of an 'X-Amz-Date' header."))?;
    let at = parse_date(date).ok_or_else(|| incomplete("The 'X-Amz-Date' header must be as YYYYMMDD'T'HHMMSS'Z'."))?;
    if !date.starts_with(authorization.date) || authorization.date.len() != 8 {
        return Err(invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
        ));
    }
    if authorization.service != SERVICE {
        return Err(invalid(format!("Credential should be scoped to correct service: '{SERVICE}'.")));
    }
    let signed: Vec<&str> = authorization.signed_headers.split(';').collect();
    // What decides which operation it is must be as it was sent.
    let must_be = |name: &str| name == "host" || name.starts_with("x-amz-");
    let names = headers.keys().map(|name| name.as_str()).chain(["host", DATE]);
    if let Some(name) = names.filter(|name| must_be(name)).find(|name| !signed.contains(name)) {
        return Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    let secret = keys.secret(authorization.key);
    let ours = signature(&authorization, headers, &signed, body, at, secret.unwrap_or_default())?;
    let Some(_) = secret else {
        return Err(Fault::new(Kind::UnrecognizedClient, "The security token included in the request is invalid."));
    };
    if !bool::from(ours.as_bytes().ct_eq(authorization.signature.as_bytes())) {
        return Err(invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        ));
    }
    // Last: what is told about the clock is for those only who have a key.
    let now = || jiff::Timestamp::from_millisecond(now_ms).map_or_else(|_| now_ms.to_string(), |t| t.to_string());
    match at.saturating_sub(now_ms) {
        ahead if ahead > SKEW_MS => {
            Err(invalid(format!("Signature not yet current: {date} is still later than {} + 5 min.", now())))
        }
        ahead if ahead < -SKEW_MS => {
            Err(invalid(format!("Signature expired: {date} is now earlier than {} - 5 min.", now())))
        }
        _ => Ok(authorization.key.to_owned()),
    }
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in header.strip_prefix(ALGORITHM)?.split(',') {
            match part.trim().split_once('=')? {
                ("Credential", value) => credential = Some(value),
                ("SignedHeaders", value) => signed_headers = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        let mut scope = credential?.split('/');
        let out = Authorization {
            key: scope.next()?,
            date: scope.next()?,
            region: scope.next()?,
            service: scope.next()?,
            signed_headers: signed_headers?,
            signature: signature?,
        };
        (scope.next() == Some("aws4_request") && scope.next().is_none()).then_some(out)
    }
}

fn signature(
    authorization: &Authorization<'_>,
    headers: &HeaderMap,
    signed: &[&str],
    body: &[u8],
    at: i64,
    secret: &str,
) -> Result<String, Fault> {
    let internal = |e: &dyn std::fmt::Display| Fault::new(Kind::InternalServer, format!("signing: {e}"));
    let mut of_them = Vec::with_capacity(signed.len());
    for name in signed {
        for value in headers.get_all(*name) {
            let value = value.to_str().map_err(|_| invalid(format!("The header '{name}' is no text.")))?;
            of_them.push((*name, value));
        }
    }
    let mut settings = SigningSettings::default();
    // The client has said which headers it has signed, and only they are given.
    settings.excluded_headers = None;
    let identity = Credentials::new(authorization.key, secret, None, None, "hurtig").into();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(authorization.region)
        .name(SERVICE)
        .time(time)
        .settings(settings)
        .build()
        .map_err(|e| internal(&e))?
        .into();
    // The host is among the headers; what the URL says of it counts for nothing.
    let request = SignableRequest::new("POST", "http://host/", of_them.into_iter(), SignableBody::Bytes(body));
    let signed = sign(request.map_err(|e| internal(&e))?, &parameters).map_err(|e| internal(&e))?;
    Ok(signed.signature().to_owned())
}

/// Milliseconds since 1970 of `20231114T221320Z`.
fn parse_date(text: &str) -> Option<i64> {
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(TimeZone::UTC.to_timestamp(date).ok()?.as_millisecond())
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Kind::InvalidSignature, message)
}

fn incomplete(message: &str) -> Fault {
    Fault::new(Kind::IncompleteSignature, message)
}
