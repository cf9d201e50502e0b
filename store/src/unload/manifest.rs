//! The two JSON files beside an UNLOAD's results, as Timestream writes them: which files there are, and what is in their
//! columns.

use bytes::Bytes;
use hurtig_timestream_sql::{
    Result,
    column_info::ColumnInfo,
    unload::{UnloadFormat, UnloadOptions},
};
use serde::Serialize;

use super::{failed, place::Folder, upload::Finished};

/// Who has written them.
const AUTHOR: &str = "hurtig";
/// The version of both files' forms.
const VERSION: &str = "1.0";

/// Which files there are.
#[derive(Debug, Serialize)]
pub struct Manifest {
    result_files: Vec<ResultFile>,
    query_metadata: QueryMetadata,
    author: Author,
}

#[derive(Debug, Serialize)]
struct ResultFile {
    url: String,
    file_metadata: FileMetadata,
}

#[derive(Debug, Serialize)]
struct FileMetadata {
    content_length_in_bytes: u64,
    row_count: u64,
}

#[derive(Debug, Serialize)]
struct QueryMetadata {
    total_content_length_in_bytes: u64,
    total_row_count: u64,
    result_format: &'static str,
    result_version: &'static str,
}

#[derive(Debug, Serialize)]
struct Author {
    name: &'static str,
    manifest_file_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    column_info: &'a [ColumnInfo],
    author: MetadataAuthor,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetadataAuthor {
    name: &'static str,
    metadata_file_version: &'static str,
}

impl Manifest {
    /// Of these files.
    pub fn new(files: Vec<Finished>, folder: &Folder, options: &UnloadOptions) -> Self {
        let query_metadata = QueryMetadata {
            total_content_length_in_bytes: files.iter().map(|file| file.bytes).sum(),
            total_row_count: files.iter().map(|file| file.rows).sum(),
            result_format: match options.format {
                UnloadFormat::Csv => "CSV",
                UnloadFormat::Parquet => "PARQUET",
            },
            result_version: concat!("hurtig version ", env!("CARGO_PKG_VERSION")),
        };
        let result_file = |file: Finished| ResultFile {
            url: folder.url(&file.path),
            file_metadata: FileMetadata { content_length_in_bytes: file.bytes, row_count: file.rows },
        };
        Manifest {
            result_files: files.into_iter().map(result_file).collect(),
            query_metadata,
            author: Author { name: AUTHOR, manifest_file_version: VERSION },
        }
    }

    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.query_metadata.total_row_count
    }

    /// The file.
    pub fn to_json(&self) -> Result<Bytes> {
        serde_json::to_vec_pretty(self).map(Bytes::from).map_err(failed)
    }
}

/// The file that says what is in the columns, the partitions' among them.
pub fn metadata(columns: &[ColumnInfo]) -> Result<Bytes> {
    let author = MetadataAuthor { name: AUTHOR, metadata_file_version: VERSION };
    serde_json::to_vec_pretty(&Metadata { column_info: columns, author }).map(Bytes::from).map_err(failed)
}
