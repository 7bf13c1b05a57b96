/* A driver that names cards and can do nothing with them: as many as CUDA_VISIBLE_DEVICES has entries, up to
   the first that is no number below STUB_CARDS. STUB_CUINIT is what cuInit returns, STUB_CAPABILITY (8.6) the
   compute capability of each, STUB_DRIVER (12020) the CUDA the driver is for. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cuInit(unsigned flags) {
  const char *status = getenv("STUB_CUINIT");
  return status ? atoi(status) : 0;
}

int cuDriverGetVersion(int *version) {
  const char *driver = getenv("STUB_DRIVER");
  *version = driver ? atoi(driver) : 12020;
  return 0;
}

int cuDeviceGetCount(int *count) {
  const char *cards = getenv("STUB_CARDS"), *visible = getenv("CUDA_VISIBLE_DEVICES");
  int most = cards ? atoi(cards) : 64;
  *count = 0;
  for (const char *at = visible; at && atoi(at) < most; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) ++*count;
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

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  const char *capability = getenv("STUB_CAPABILITY");
  int major = 8, minor = 6;
  if (capability) sscanf(capability, "%d.%d", &major, &minor);
  *value = attribute == 75 ? major : minor;
  return 0;
}
