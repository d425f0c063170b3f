// A library that lacks a symbol, as one does whose driver or toolkit is of another version.
extern void * skerry_nobody_has_this(void);
void * ggml_backend_init(void) { return skerry_nobody_has_this(); }
