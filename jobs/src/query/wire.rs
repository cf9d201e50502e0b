//! PostgreSQL's protocol: for `psql`, and for BI tools that know no other.
//!
//! A connection is a session of its own over the same tables and one bound of memory for all. What a job has written is not
//! changed from here: whatever is not a question is refused before it is planned.

use std::{
    fmt,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use datafusion::{
    common::ParamValues,
    execution::runtime_env::RuntimeEnv,
    logical_expr::LogicalPlan,
    prelude::SessionContext,
    sql::sqlparser::ast::{Query as Ast, Set, SetExpr, Statement},
};
use datafusion_postgres::{
    DfSessionService, QueryHook,
    datafusion_pg_catalog::pg_catalog::{context::EmptyContextProvider, setup_pg_catalog},
    hooks::{HookClient, cursor::CursorStatementHook, set_show::SetShowHook, transactions::TransactionStatementHook},
    pgwire::{
        api::{
            ClientInfo, ConnectionManager, PgWireServerHandlers,
            auth::{StartupHandler, noop::NoopStartupHandler},
            cancel::{CancelHandler, DefaultCancelHandler},
            query::{ExtendedQueryHandler, SimpleQueryHandler},
            results::Response,
        },
        error::{ErrorInfo, PgWireError, PgWireResult},
        tokio::process_socket,
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::{CATALOG, Query, QueryError};

/// So many clients are answered at once.
const CONNECTIONS: usize = 64;
/// After a client that could not be accepted.
const AGAIN: Duration = Duration::from_millis(100);

/// Answers clients of PostgreSQL.
pub struct SqlServer {
    query: Query,
    runtime: Arc<RuntimeEnv>,
    listener: TcpListener,
    address: SocketAddr,
    connections: Arc<ConnectionManager>,
}

impl fmt::Debug for SqlServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Query {
    /// Listens on 127.0.0.1, where nobody is asked who he is; port 0 takes a free one.
    ///
    /// # Errors
    /// A port that is taken.
    pub async fn listen(&self, port: u16) -> Result<SqlServer, QueryError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.map_err(|reason| QueryError::Port { port, reason })?;
        let address = listener.local_addr().map_err(QueryError::Io)?;
        let runtime = self.runtime()?;
        Ok(SqlServer {
            query: self.clone(),
            runtime,
            listener,
            address,
            connections: Arc::new(ConnectionManager::new()),
        })
    }
}

impl SqlServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is there; what is under way then is dropped.
    ///
    /// # Errors
    /// None that a client causes.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), QueryError> {
        let mut clients = tokio::task::JoinSet::new();
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        tokio::pin!(stop);
        loop {
            let socket = tokio::select! {
                () = &mut stop => return Ok(()),
                // Those that have gone leave nothing behind.
                Some(_) = clients.join_next(), if !clients.is_empty() => continue,
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, _)) => socket,
                    Err(e) => {
                        tracing::warn!("a client could not be accepted: {e}");
                        // It may be that there are too many open files.
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                },
            };
            // Who comes when all places are taken is told by the end of his connection.
            let Ok(permit) = free.clone().try_acquire_owned() else {
                tracing::warn!("{CONNECTIONS} clients are connected: another one was turned away");
                continue;
            };
            let handlers = Arc::new(self.connection()?);
            clients.spawn(async move {
                answer(socket, handlers).await;
                drop(permit);
            });
        }
    }

    fn connection(&self) -> Result<Connection, QueryError> {
        let session = Arc::new(self.query.session(self.runtime.clone()));
        setup_pg_catalog(&session, CATALOG, EmptyContextProvider).map_err(|e| QueryError::Sql(*e))?;
        let hooks: Vec<Arc<dyn QueryHook>> = vec![
            Arc::new(OnlyQuestions),
            Arc::new(CursorStatementHook),
            Arc::new(SetShowHook),
            Arc::new(TransactionStatementHook),
        ];
        Ok(Connection {
            service: Arc::new(DfSessionService::new_with_hooks(session, hooks)),
            startup: Arc::new(Anybody(self.connections.clone())),
            cancel: Arc::new(DefaultCancelHandler::new(self.connections.clone())),
        })
    }
}

async fn answer(socket: TcpStream, handlers: Arc<Connection>) {
    if let Err(e) = process_socket(socket, None, handlers).await {
        tracing::debug!("a client has gone: {e}");
    }
}

/// What answers one client.
struct Connection {
    service: Arc<DfSessionService>,
    startup: Arc<Anybody>,
    cancel: Arc<DefaultCancelHandler>,
}

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        self.service.clone()
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        self.service.clone()
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        self.startup.clone()
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        self.cancel.clone()
    }
}

/// Nobody is asked for a password; who asks can cancel what he has asked.
struct Anybody(Arc<ConnectionManager>);

impl NoopStartupHandler for Anybody {
    fn connection_manager(&self) -> Option<Arc<ConnectionManager>> {
        Some(self.0.clone())
    }
}

/// Refuses what would change something: tables, files, or the bounds of the session.
struct OnlyQuestions;

impl OnlyQuestions {
    fn refuse(statement: &Statement) -> Option<PgWireError> {
        if is_question(statement) {
            return None;
        }
        // PostgreSQL's code for a read-only transaction.
        let what = "only questions are answered here (SELECT, EXPLAIN, SHOW): tables are created with `hurtig query`";
        Some(PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".into(), "25006".into(), what.into()))))
    }
}

fn is_question(statement: &Statement) -> bool {
    match statement {
        Statement::Query(query) => only_selects(query),
        Statement::Explain { statement, .. } => is_question(statement),
        Statement::Declare { stmts } => stmts.iter().all(|one| one.for_query.as_deref().is_none_or(only_selects)),
        Statement::Set(set) => is_clients_own(set),
        Statement::ExplainTable { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowDatabases { .. }
        | Statement::Fetch { .. }
        | Statement::Close { .. }
        | Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Discard { .. }
        | Statement::Deallocate { .. } => true,
        _ => false,
    }
}

/// Whether a setting is about the client's own session: PostgreSQL's are, DataFusion's lift bounds. Quotes change nothing.
fn is_clients_own(set: &Set) -> bool {
    match set {
        Set::SingleAssignment { variable, .. } => {
            !variable.to_string().replace('"', "").to_lowercase().starts_with("datafusion")
        }
        Set::SetTimeZone { .. } | Set::SetNames { .. } | Set::SetNamesDefault {} | Set::SetTransaction { .. } => true,
        _ => false,
    }
}

/// Whether a query says nothing but SELECT and VALUES, wherever in it.
fn only_selects(query: &Ast) -> bool {
    fn only(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => select.into.is_none(),
            SetExpr::Query(query) => only_selects(query),
            SetExpr::SetOperation { left, right, .. } => only(left) && only(right),
            SetExpr::Values(_) | SetExpr::Table(_) => true,
            _ => false,
        }
    }
    only(&query.body) && query.with.iter().flat_map(|with| &with.cte_tables).all(|cte| only_selects(&cte.query))
}

#[async_trait]
impl QueryHook for OnlyQuestions {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        _: &SessionContext,
        _: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        OnlyQuestions::refuse(statement).map(Err)
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        _: &SessionContext,
        _: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        OnlyQuestions::refuse(statement).map(Err)
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        _: &LogicalPlan,
        _: &ParamValues,
        _: &SessionContext,
        _: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        OnlyQuestions::refuse(statement).map(Err)
    }
}
