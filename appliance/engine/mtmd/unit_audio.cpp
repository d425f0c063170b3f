// mtmd.cpp refers to it; no projector for sound is opened.
#include <mtmd-audio.cpp>
