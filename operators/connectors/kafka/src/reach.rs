//! Whether a broker is there and lets this client in.
//!
//! librdkafka goes on trying for as long as it is asked to, also with a password that is wrong, and what is in its way
//! it only tells by the way. So whoever asks first asks in turns, and looks in between.

use std::{thread::sleep, time::Duration};

use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::Metadata,
};
use tokio::time::Instant;

use crate::client::{Closing, Context, Severity, severity};

/// How long a question waits; after one that was not answered in time twice as long: a broker may be slow.
const TURN: Duration = Duration::from_secs(1);

/// After a question that came back at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a broker cannot be talked to, in one line that says what to do.
#[derive(Debug)]
pub(crate) enum Unreached {
    /// Nobody is there: there may be at another time.
    Silent(String),
    /// It will not be otherwise until somebody does something.
    Refused(String),
}

impl Unreached {
    /// The line.
    pub fn into_reason(self) -> String {
        match self {
            Unreached::Silent(reason) | Unreached::Refused(reason) => reason,
        }
    }
}

/// Asks about `topic`, or about all, until there is an answer or `timeout` is over; what is [`Severity::Final`] ends it
/// at once.
pub(crate) fn metadata(
    client: &BaseConsumer<Context>,
    topic: Option<&str>,
    timeout: Duration,
) -> KafkaResult<Metadata> {
    // What was wrong the last time is no news.
    serve(client);
    client.context().0.take_trouble();
    let until = Instant::now() + timeout;
    let mut turn = TURN;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let answer = client.fetch_metadata(topic, turn.min(left.max(PAUSE)));
        match &answer {
            Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut) => {
                turn = (turn * 2).min(timeout);
            }
            // It is away, or does not let anybody in, which is only told between two questions.
            Err(e) if is_silence(e) => turn = TURN,
            _ => return answer,
        }
        serve(client);
        if client.context().0.is_final() || Instant::now() >= until {
            return answer;
        }
        sleep(PAUSE);
    }
}

/// Asks with a client of its own, made of what `config` has about connections.
pub(crate) fn reach(config: &ClientConfig, topic: Option<&str>, timeout: Duration) -> Result<(), Unreached> {
    let config = connection(config);
    let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    let client = BaseConsumer::from_config_and_context(&config, Context::default());
    let client = client.map(Closing::new).map_err(|e| Unreached::Refused(format!("{servers}: {e}")))?;
    metadata(&client, topic, timeout).map(drop).map_err(|e| unreached(&client, &servers, &e))
}

/// What went wrong, and what to do about it.
pub(crate) fn unreached(client: &BaseConsumer<Context>, servers: &str, e: &KafkaError) -> Unreached {
    serve(client);
    let trouble = client.context().0.take_trouble();
    if let Some((code, reason)) = &trouble
        && let Severity::Final(hint) = severity(*code)
    {
        return Unreached::Refused(format!("{servers}: {reason}; {hint}"));
    }
    let why = trouble.map(|(_, reason)| format!(" ({reason})")).unwrap_or_default();
    match severity(e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)) {
        Severity::Final(hint) => Unreached::Refused(format!("{servers}: {e}{why}; {hint}")),
        Severity::Passing => Unreached::Silent(format!(
            "{servers} does not answer: {e}{why}; check bootstrap_servers, and that the broker runs and can be reached"
        )),
    }
}

/// What a producer's or a consumer's configuration says about connections: the rest is only for the one or the other,
/// which would be warned of.
pub(crate) fn connection(config: &ClientConfig) -> ClientConfig {
    const ABOUT: [&str; 13] = [
        "bootstrap",
        "security",
        "sasl",
        "ssl",
        "https",
        "client",
        "socket",
        "broker",
        "reconnect",
        "api",
        "plugin",
        "receive",
        "metadata",
    ];
    const ENABLE: [&str; 2] = ["enable.ssl.certificate.verification", "enable.sasl.oauthbearer.unsecure.jwt"];
    let is_about_connections =
        |name: &str| ABOUT.contains(&name.split('.').next().unwrap_or_default()) || ENABLE.contains(&name);
    let mut of_connections = ClientConfig::new();
    // The map has placeholders for passwords: the values themselves are only given one by one.
    for name in config.config_map().into_keys().filter(|name| is_about_connections(name)) {
        if let Some(value) = config.get(name) {
            of_connections.set(name, value);
        }
    }
    of_connections
}

/// Has the client tell what nobody asked for.
fn serve(client: &BaseConsumer<Context>) {
    while client.poll(Duration::ZERO).is_some() {}
}

fn is_silence(e: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = e.rdkafka_error_code();
    matches!(code, Some(Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve))
}
