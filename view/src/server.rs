//! The server: it listens, it answers until it is told to end, and it ends.

use std::{future::Future, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use tokio::net::TcpListener;

use crate::{
    answers::Answer,
    error::{Error, Result},
    guard, page,
    question::Question,
    view::{View, answer},
};

/// How long requests that are on their way when the server ends may take.
const DRAIN: Duration = Duration::from_secs(2);

/// A page of somebody else's, beside the view: it is linked to, and answered by the view's server as the view's own are, with
/// the same guard and the same policy.
#[derive(Debug, Clone)]
pub struct Beside {
    /// What the link to it says.
    pub title: String,
    /// Where it is: `/insights`.
    pub path: String,
    /// All that it answers, at paths of its own and without a fallback.
    pub router: Router,
}

/// A view that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    view: View,
}

impl Server {
    pub(crate) async fn bind(view: View) -> Result<Self> {
        view.options().check()?;
        let listen = view.options().listen;
        let at = |source| Error::Io { at: listen.to_string(), source };
        let listener = TcpListener::bind(listen).await.map_err(at)?;
        let address = listener.local_addr().map_err(at)?;
        Ok(Server { listener, address, view })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers until `end` comes; what is on its way then has two seconds.
    ///
    /// # Errors
    /// A listener that fails.
    pub async fn serve(self, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Server { listener, address, view } = self;
        let app = router(view);
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let (ended, cut) = tokio::sync::oneshot::channel::<()>();
        let graceful = async move {
            end.await;
            drop(ended);
        };
        let serving = axum::serve(listener, app).with_graceful_shutdown(graceful);
        tokio::select! {
            served = async { serving.await } => served.map_err(|source| Error::Io { at: address.to_string(), source }),
            // A browser keeps its connection open.
            () = async { let _ = cut.await; tokio::time::sleep(DRAIN).await } => Ok(()),
        }
    }
}

fn router(view: View) -> Router {
    let own = Router::new()
        .route("/", get(index))
        .route("/page/{file}", get(file))
        .route("/api/{panel}", get(panel))
        .fallback(nothing)
        .method_not_allowed_fallback(only_get)
        .with_state(view.clone());
    let all = view.beside().iter().fold(own, |all, beside| all.merge(beside.router.clone()));
    // Around all of it: nobody's page is answered without the guard.
    all.layer(middleware::from_fn_with_state(view, guarded))
}

async fn guarded(State(view): State<View>, request: Request, next: Next) -> Response {
    let mut response = match guard::check(request.headers(), &view.options().hosts) {
        Ok(()) => next.run(request).await,
        Err(refused) => answer(Err(refused)).into_response(),
    };
    for (name, value) in guard::headers() {
        response.headers_mut().insert(name, value);
    }
    response
}

async fn panel(
    State(view): State<View>,
    Path(panel): Path<String>,
    parameters: std::result::Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Answer {
    let parameters = match parameters {
        Ok(Query(parameters)) => parameters,
        Err(e) => return answer(Err(Error::Parameter(format!("The parameters cannot be read: {}.", e.body_text())))),
    };
    match Question::parse(&panel, parameters) {
        Ok(question) => view.answer(question).await,
        Err(wrong) => answer(Err(wrong)),
    }
}

async fn index(State(view): State<View>) -> Response {
    let links: Vec<_> = view.beside().iter().map(|beside| (&*beside.title, &*beside.path)).collect();
    match page::index(view.options().page.as_deref(), &links) {
        Ok((kind, text)) => ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response(),
        Err(e) => answer(Err(e)).into_response(),
    }
}

async fn file(State(view): State<View>, Path(file): Path<String>) -> Response {
    served(&view, &file)
}

fn served(view: &View, file: &str) -> Response {
    match page::file(file, view.options().page.as_deref()) {
        Ok((kind, text)) => ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response(),
        Err(e) => answer(Err(e)).into_response(),
    }
}

async fn nothing(uri: Uri) -> Answer {
    answer(Err(Error::NotFound(format!("There is nothing at {}: the page is at /.", uri.path()))))
}

async fn only_get() -> Response {
    let words = serde_json::json!({ "error": "The view is only looked at: GET." }).to_string();
    Answer { status: StatusCode::METHOD_NOT_ALLOWED, body: words.into() }.into_response()
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
        (self.status, json, self.body).into_response()
    }
}
