#include "hal/virtual.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 8192 };

struct clue {
    const char *path;
    const char *words; /* any of them, "|" between; "": that the file is there */
    const char *means;
};

/* The first that holds is told. A device tree's text holds NUL bytes, read as spaces. */
static const struct clue clues[] = {
    { "/sys/hypervisor/type", "", "hypervisor" },
    { "/proc/device-tree/hypervisor/compatible", "", "hypervisor in the device tree" },
    { "/proc/device-tree/compatible", "linux,dummy-virt|qemu", "device tree of a virtual machine" },
    { "/sys/devices/system/clocksource/clocksource0/current_clocksource", "kvm|xen|hyperv",
      "clock source" },
    { "/sys/class/dmi/id/sys_vendor", "QEMU|VMware|innotek|Xen|Parallels|OpenStack|Google",
      "vendor" },
    { "/sys/class/dmi/id/product_name", "KVM|Virtual Machine|VirtualBox|BHYVE", "product" },
};

static bool has_word(const char *text, const char *words)
{
    char word[64];
    while (*words != '\0') {
        size_t length = strcspn(words, "|");
        snprintf(word, sizeof(word), "%.*s", (int)length, words);
        if (strstr(text, word) != NULL)
            return true;
        words += length + (words[length] == '|');
    }
    return false;
}

/* x86: the bit that CPUID keeps for hypervisors, as the kernel lists it among the flags. */
static bool flag_is_set(const char *cpuinfo)
{
    const char *flags = strstr(cpuinfo, "\nflags");
    const char *end = flags != NULL ? strchr(flags + 1, '\n') : NULL;
    const char *flag = flags != NULL ? strstr(flags, " hypervisor") : NULL;
    return flag != NULL && end != NULL && flag < end;
}

bool hal_virtual(const struct hal_files *files, char what[HAL_VIRTUAL_MAX + 1])
{
    char text[TEXT_MAX];
    for (size_t i = 0; i < sizeof(clues) / sizeof(clues[0]); i++) {
        if (!files->read(files->context, clues[i].path, text, sizeof(text)))
            continue;
        if (clues[i].words[0] != '\0' && !has_word(text, clues[i].words))
            continue;
        text[strcspn(text, "\n")] = '\0';
        snprintf(what, HAL_VIRTUAL_MAX + 1, "%s \"%.60s\"", clues[i].means, text);
        return true;
    }
    if (!files->read(files->context, "/proc/cpuinfo", text, sizeof(text)) || !flag_is_set(text))
        return false;
    snprintf(what, HAL_VIRTUAL_MAX + 1, "the processor's hypervisor bit");
    return true;
}
