// Registers nothing.
int nothing() { return 0; }
