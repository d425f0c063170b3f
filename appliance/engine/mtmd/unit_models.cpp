// The encoders of the images, one for each kind of projector.
#include <models/cogvlm.cpp>
#include <models/glm4v.cpp>
#include <models/internvl.cpp>
#include <models/kimivl.cpp>
#include <models/llama4.cpp>
#include <models/llava.cpp>
#include <models/minicpmv.cpp>
#include <models/pixtral.cpp>
#include <models/qwen2vl.cpp>
#include <models/qwen3vl.cpp>
#include <models/siglip.cpp>
#include <models/whisper-enc.cpp>
