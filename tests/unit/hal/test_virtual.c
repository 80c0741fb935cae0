/* What shows that a board is a virtual machine, each by itself; and what does not. */
#include <string.h>

#include "hal/virtual.h"
#include "tests/unit/support/unit.h"

static struct {
    const char *path;
    const char *text;
} file;

static bool one_file(void *context, const char *path, char *text, size_t size)
{
    (void)context;
    if (strcmp(path, file.path) != 0)
        return false;
    strncpy(text, file.text, size - 1);
    text[size - 1] = '\0';
    return true;
}

static const struct hal_files files = { .context = NULL, .read = one_file };

static bool is_virtual(const char *path, const char *text, char what[HAL_VIRTUAL_MAX + 1])
{
    file.path = path;
    file.text = text;
    what[0] = '\0';
    return hal_virtual(&files, what);
}

static void each_sign_is_enough(void **state)
{
    (void)state;
    static const char *const signs[][3] = {
        { "/sys/hypervisor/type", "xen\n", "hypervisor \"xen\"" },
        { "/proc/device-tree/hypervisor/compatible", "xen,xen-4.17 xen,xen ", "device tree" },
        { "/proc/device-tree/compatible", "linux,dummy-virt ", "linux,dummy-virt" },
        { "/sys/devices/system/clocksource/clocksource0/current_clocksource", "kvm-clock\n",
          "clock source \"kvm-clock\"" },
        { "/sys/class/dmi/id/sys_vendor", "QEMU\n", "vendor \"QEMU\"" },
        { "/sys/class/dmi/id/sys_vendor", "VMware, Inc.\n", "vendor \"VMware, Inc.\"" },
        { "/sys/class/dmi/id/product_name", "Virtual Machine\n", "product" },
        { "/proc/cpuinfo", "processor : 0\nflags\t\t: fpu hypervisor lahf_lm\nbugs : x\n",
          "hypervisor bit" },
    };
    char what[HAL_VIRTUAL_MAX + 1];
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        assert_true(is_virtual(signs[i][0], signs[i][1], what));
        assert_non_null(strstr(what, signs[i][2]));
    }
}

static void a_real_board_shows_none(void **state)
{
    (void)state;
    static const char *const none[][2] = {
        { "/proc/device-tree/compatible", "raspberrypi,4-model-b brcm,bcm2711 " },
        { "/sys/devices/system/clocksource/clocksource0/current_clocksource",
          "arch_sys_counter\n" },
        { "/sys/class/dmi/id/sys_vendor", "Dell Inc.\n" },
        { "/sys/class/dmi/id/product_name", "NUC\n" },
        { "/proc/cpuinfo", "flags : fpu vmx\nmodel : a hypervisor in its name\n" },
        { "/proc/cpuinfo", "Features : fp asimd\n" },
    };
    char what[HAL_VIRTUAL_MAX + 1];
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(is_virtual(none[i][0], none[i][1], what));
}

static void the_systems_files_are_read_as_text(void **state)
{
    (void)state;
    char text[16];
    assert_true(hal_system_files.read(NULL, "/proc/self/comm", text, sizeof(text)));
    assert_int_equal(strncmp(text, "test_virtual", 12), 0);
    assert_true(hal_system_files.read(NULL, "/proc/self/cmdline", text, sizeof(text)));
    assert_int_equal(strlen(text), sizeof(text) - 1);
    assert_false(hal_system_files.read(NULL, "/nonexistent", text, sizeof(text)));
    assert_false(hal_system_files.read(NULL, "/proc", text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sign_is_enough),
        cmocka_unit_test(a_real_board_shows_none),
        cmocka_unit_test(the_systems_files_are_read_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
