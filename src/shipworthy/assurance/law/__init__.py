"""Which law applies and whether evidence answers it: rule packs, their clauses, and the purposes that call for them."""
