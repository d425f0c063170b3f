// Which ggml and llama.cpp this program has, and whether kernels are of the same.
#define _GNU_SOURCE
#include "shim.h"
#include "ggml-backend.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

// The module's ggml is compiled without a version and says NULL.
static bool same(const char * a, const char * b) { return a == b || (a && b && strcmp(a, b) == 0); }

bool skerry_same_ggml(const char * dir) {
	char base[4096];
	snprintf(base, sizeof base, "%s/libggml-base.so.0", dir);
	void * h = dlopen(base, RTLD_LAZY | RTLD_LOCAL);
	if (!h) return false;
	const char * (*version)(void) = (const char * (*)(void)) dlsym(h, "ggml_version");
	const char * (*commit)(void) = (const char * (*)(void)) dlsym(h, "ggml_commit");
	bool ok = version && commit && same(version(), ggml_version()) && same(commit(), ggml_commit());
	dlclose(h);
	return ok;
}

bool skerry_has_cpu(void) { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) != NULL; }

void skerry_llama_path(char * buf, size_t len) {
	Dl_info info;
	buf[0] = 0;
	// By name: the address taken here might be a stub in the program itself.
	void * f = dlsym(RTLD_DEFAULT, "llama_decode");
	if (f && dladdr(f, &info) && info.dli_fname) snprintf(buf, len, "%s", info.dli_fname);
}

void skerry_llama_version(char * buf, size_t len) {
	const char * (*version)(void) = (const char * (*)(void)) dlsym(RTLD_DEFAULT, "llama_version");
	const char * llama = version ? version() : "of unknown version", * ggml = ggml_version(), * commit = ggml_commit();
	snprintf(buf, len, "%s, ggml %s", llama, ggml ? ggml : "of unknown version");
	if (commit && strcmp(commit, "unknown") != 0) snprintf(buf + strlen(buf), len - strlen(buf), " (%s)", commit);
}
