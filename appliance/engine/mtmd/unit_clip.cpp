// The sources are the module's; see mtmd.go.
#include <clip.cpp>
