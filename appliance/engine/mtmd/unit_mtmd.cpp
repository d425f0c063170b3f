// The sources are the module's; see mtmd.go.
#include <mtmd.cpp>
