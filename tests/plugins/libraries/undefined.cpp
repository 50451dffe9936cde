// Refers to a function that no library has.
int missing_from_all_libraries();
int call() { return missing_from_all_libraries(); }
