The API is documented: every route, what it takes and answers, the event stream, and what a node may call (`docs/api.md`).
