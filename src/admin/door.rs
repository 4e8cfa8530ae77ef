//! Who may look, and who may give orders (pure).
//!
//! With a token whoever orders must bring it, in an `Authorization: Bearer` header; so must whoever looks, where the admin address is open to
//! others. Without one everybody may who gets at the address, which is a loopback one then. One thing is left to guard against there:
//! a page in a browser of this machine, whose own host name has been made to lead here. It asks by that name, so orders by
//! a name other than `localhost` are refused.

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::config::secret::Secret;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To see something.
    Look,
    /// To have something done.
    Order,
}

/// Why a request is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no token with it.
    NoToken,
    /// There is another one with it.
    WrongToken,
    /// It is made by a name that may be anybody's.
    ForeignName,
}

/// Whether a request with these headers is heard, which has come in at this address. Where another address is about to take its place, there
/// may be no token any more for this one.
pub fn admit(token: Option<&Secret>, at: IpAddr, wish: Wish, headers: &HeaderMap) -> Result<(), Refusal> {
    match (token, wish) {
        (None, _) if !at.is_loopback() => Err(Refusal::NoToken),
        (None, Wish::Order) => {
            if is_plain(headers) {
                Ok(())
            } else {
                Err(Refusal::ForeignName)
            }
        }
        (None, Wish::Look) => Ok(()),
        (Some(_), Wish::Look) if at.is_loopback() => Ok(()),
        (Some(token), _) => {
            let given = bearer(headers).ok_or(Refusal::NoToken)?;
            let is_right: bool = given.as_bytes().ct_eq(token.reveal().as_bytes()).into();
            if is_right { Ok(()) } else { Err(Refusal::WrongToken) }
        }
    }
}

/// The scheme is taken in any case, as all schemes are.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Is the host that the request names an address, or this machine?
fn is_plain(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // The port is what stands behind the last colon, unless that is one of an IPv6 address.
    let host =
        host.rsplit_once(':').filter(|(host, _)| host.ends_with(']') || !host.contains(':')).map_or(host, |it| it.0);
    host.is_empty() || host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let by_token = [(WWW_AUTHENTICATE, "Bearer realm=\"oarlock\"")];
        match self {
            Self::NoToken => {
                let text = "a token is needed, the `token` of [admin] in the configuration: send `Authorization: Bearer TOKEN`; \
                            the command line takes it from OARLOCK_TOKEN or --token-file";
                (StatusCode::UNAUTHORIZED, by_token, text).into_response()
            }
            Self::WrongToken => {
                let text = "this is not the token; it is the `token` of [admin] in the configuration of this proxy";
                (StatusCode::UNAUTHORIZED, by_token, text).into_response()
            }
            Self::ForeignName => {
                let text = "orders are taken by an address or as localhost, so that no page in a browser can give any by a name of \
                            its own; set a `token` in [admin] to give orders by other names";
                (StatusCode::FORBIDDEN, text).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hears_who_may_be_heard() {
        use Refusal::{ForeignName, NoToken, WrongToken};
        use Wish::{Look, Order};
        const LOCAL: &str = "127.0.0.1";
        const OPEN: &str = "192.168.56.70";
        let right = Some("Bearer 0123456789abcdef");
        for (address, token, wish, authorization, expected) in [
            (LOCAL, false, Order, None, Ok(())),
            (LOCAL, false, Look, None, Ok(())),
            (LOCAL, true, Look, None, Ok(())),
            (LOCAL, true, Order, None, Err(NoToken)),
            (LOCAL, true, Order, right, Ok(())),
            (LOCAL, true, Order, Some("bearer 0123456789abcdef"), Ok(())),
            (LOCAL, true, Order, Some("Bearer 0123456789abcdeF"), Err(WrongToken)),
            (LOCAL, true, Order, Some("Bearer 0123456789abcde"), Err(WrongToken)),
            (LOCAL, true, Order, Some("Bearer "), Err(WrongToken)),
            (LOCAL, true, Order, Some("Basic 0123456789abcdef"), Err(NoToken)),
            (OPEN, false, Look, None, Err(NoToken)),
            (OPEN, false, Order, None, Err(NoToken)),
            (OPEN, true, Look, None, Err(NoToken)),
            (OPEN, true, Look, right, Ok(())),
        ] {
            let token = token.then(|| Secret::new("0123456789abcdef".to_owned()));
            let mut headers = HeaderMap::new();
            authorization.map(|text| headers.insert(AUTHORIZATION, text.parse().unwrap()));
            assert_eq!(
                admit(token.as_ref(), address.parse().unwrap(), wish, &headers),
                expected,
                "{address} {wish:?} {authorization:?}"
            );
        }
        for (host, is_heard) in [
            ("127.0.0.1:4008", true),
            ("localhost:4008", true),
            ("localhost", true),
            ("[::1]:4008", true),
            ("::1", true),
            ("example.com:4008", false),
            ("127.0.0.1.example.com", false),
            ("localhost.example.com:4008", false),
        ] {
            let headers: HeaderMap = [(HOST, host.parse().unwrap())].into_iter().collect();
            let expected = if is_heard { Ok(()) } else { Err(ForeignName) };
            assert_eq!(admit(None, LOCAL.parse().unwrap(), Order, &headers), expected, "{host}");
        }
    }
}
