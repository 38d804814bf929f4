"""The sabotage bank: planted faults, one for every check, and their clean twins."""
