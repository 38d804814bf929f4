"""Who may do what: tokens with scopes, query budgets, TLS, and a journal of requests without personal values."""
