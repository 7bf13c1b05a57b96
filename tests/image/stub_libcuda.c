/* A driver that names cards and can do nothing with them: as many as CUDA_VISIBLE_DEVICES has entries;
   STUB_CUINIT is what cuInit returns. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int cuInit(unsigned flags) {
  const char *status = getenv("STUB_CUINIT");
  return status ? atoi(status) : 0;
}

int cuDriverGetVersion(int *version) {
  *version = 12020;
  return 0;
}

int cuDeviceGetCount(int *count) {
  *count = 1;
  for (const char *c = getenv("CUDA_VISIBLE_DEVICES"); c && *c; c++) *count += *c == ',';
  return 0;
}

int cuDeviceGet(int *device, int number) {
  *device = number;
  return 0;
}

int cuDeviceGetName(char *name, int size, int device) {
  strncpy(name, "Stub", size);
  return 0;
}

int cuDeviceGetUuid(char *uuid, int device) {
  memset(uuid, 0x10 + device, 16);
  return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = (size_t)24 << 30;
  return 0;
}
