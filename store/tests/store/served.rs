//! A store that is served within the test, by a clock that the test moves, and a client for it.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use hurtig_state::ManualClock;
use hurtig_store::{Error, Queries, Server, ServerOptions, Store, StoreOptions, UnloadPlace};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// A server, and the store behind it.
pub struct Served {
    pub store: Store,
    address: std::net::SocketAddr,
    end: Mutex<Option<oneshot::Sender<()>>>,
    serving: JoinHandle<hurtig_store::Result<()>>,
}

impl Served {
    /// Opens the store in `dir/store` and serves it; what it may write goes below `dir/out`.
    pub async fn start(dir: &Path, clock: &Arc<ManualClock>) -> Self {
        Self::start_with(dir, clock, |_| ()).await
    }

    /// The same, with other options.
    pub async fn start_with(dir: &Path, clock: &Arc<ManualClock>, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let options = StoreOptions::new(dir.join("store"), clock.clone());
        let store = loop {
            match Store::open(options.clone()).await {
                // The last connection of the one before may be about to end.
                Err(Error::InUse { .. }) => tokio::task::yield_now().await,
                opened => break opened.expect("a store"),
            }
        };
        let place = UnloadPlace::open(dir.join("out").to_str().expect("text")).expect("a place");
        let queries = Queries::new(&store, Default::default()).expect("queries").with_unload(place.clone());
        let mut options = ServerOptions::new(([127, 0, 0, 1], 0).into());
        options.engine = Some(Arc::new(queries));
        options.reports = Some(place);
        change(&mut options);
        let server = Server::bind(store.clone(), options).await.expect("a server");
        let (address, (end, ended)) = (server.address(), oneshot::channel());
        let serving = tokio::spawn(server.serve(async { drop(ended.await) }));
        Served { store, address, end: Mutex::new(Some(end)), serving }
    }

    /// Tells it to end.
    pub fn tell_end(&self) {
        self.end.lock().expect("no panic").take().expect("it is told once").send(()).expect("it serves");
    }

    /// Ends it.
    pub async fn end(self) {
        self.tell_end();
        self.serving.await.expect("no panic").expect("it ends well");
    }

    /// The status and the body of an operation's answer.
    pub async fn call(&self, operation: &str, body: Value) -> (u16, Value) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: Timestream_20181101.{operation}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("JSON") })
    }

    /// What an operation answers that is carried out.
    pub async fn done(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// The type and the words of an operation's refusal.
    pub async fn refused(&self, operation: &str, body: Value) -> (String, String) {
        let (status, answer) = self.call(operation, body).await;
        assert_ne!(status, 200, "{operation}: {answer}");
        let text = |name: &str| answer[name].as_str().expect("text").to_owned();
        (text("__type").rsplit('#').next().expect("a name").to_owned(), text("Message"))
    }

    /// All rows of a query, as texts; NULL is none.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.done("Query", serde_json::json!({ "QueryString": sql })).await;
        assert_eq!(answer.get("NextToken"), None, "{sql}");
        let text = |datum: &Value| datum["ScalarValue"].as_str().map(str::to_owned);
        let rows = answer["Rows"].as_array().expect("rows").iter();
        rows.map(|row| row["Data"].as_array().expect("data").iter().map(text).collect()).collect()
    }
}
