# Which of the two slots is booted. Made into boot.scr by mkimage; @...@ are the board's (boards.py).
# The state of the slots is in two sectors, 64 K and 64.5 K from the beginning of the card; the valid one
# of the higher generation counts. All little endian:
#   0 "HFSL"   4 generation   8 good slot   9 slot to try, or ff   a tries left   1fc CRC32 of all before
# A CRC32 behind what it is of makes the CRC32 of both a constant, 2144df1c; U-Boots differ in which end of
# it they store first.
echo "holdfast: boot.scr"
@SETUP@
setenv one ${kernel_addr_r}
setexpr two ${one} + 200
setexpr new ${one} + 400
setexpr sum ${one} + 800
setenv check 'setenv valid; mw.l ${sum} 0 2; crc32 ${at} 200 ${sum}; if itest.l *${sum} == 2144df1c || itest.l *${sum} == 1cdf4421; then if itest.l *${at} == 4c534648; then setenv valid 1; fi; fi'
setenv swap 'setexpr from ${sum} + 3; setexpr to ${new} + 1fc; for i in 0 1 2 3; do cp.b ${from} ${to} 1; setexpr from ${from} - 1; setexpr to ${to} + 1; done'

setenv state
${devtype} dev ${devnum}
if ${devtype} read ${one} 80 2; then
    setenv at ${one}; run check
    if test -n "${valid}"; then setenv state ${one}; setenv other 81; fi
    setenv at ${two}; run check
    if test -n "${valid}"; then
        setexpr mine ${one} + 4
        setexpr its ${two} + 4
        if test -z "${state}" || itest.l *${its} -gt *${mine}; then setenv state ${two}; setenv other 80; fi
    fi
fi

# A slot is tried only after it is written down that it is.
setenv slot 0
if test -n "${state}"; then
    setexpr field ${state} + 8; setexpr.b slot *${field}
    setexpr field ${state} + 9; setexpr.b try *${field}
    setexpr field ${state} + a; setexpr.b tries *${field}
    if itest ${try} -le 1 && itest ${tries} -gt 0; then
        cp.b ${state} ${new} 200
        setexpr field ${new} + 4; setexpr.l generation *${field}; setexpr generation ${generation} + 1; mw.l ${field} ${generation}
        setexpr field ${new} + a; setexpr tries ${tries} - 1; mw.b ${field} ${tries}
        setexpr field ${new} + 1fc; crc32 ${new} 1fc ${sum}; cp.b ${sum} ${field} 4
        setenv at ${new}; run check
        if test -z "${valid}"; then crc32 ${new} 1fc ${sum}; run swap; run check; fi
        if test -n "${valid}" && ${devtype} write ${new} ${other} 1; then
            setenv slot ${try}
            echo "holdfast: slot ${try} is tried, ${tries} tries are left after this one"
        fi
    fi
else
    echo "holdfast: no slot state on the card: slot 0"
fi

setenv boot_slot 'if itest ${slot} == 1; then setenv part 3; setenv letter B; else setenv part 2; setenv letter A; fi; echo "holdfast: booting slot ${letter}"; setenv bootargs "@ARGS@ holdfast.slot=${letter}"; if load ${devtype} ${devnum}:${part} ${kernel_addr_r} /vmlinuz && load ${devtype} ${devnum}:${part} ${ramdisk_addr_r} /initrd; then setenv size ${filesize}; @DTB@; @BOOT@ ${kernel_addr_r} ${ramdisk_addr_r}:${size} ${tree}; fi'
run boot_slot
echo "holdfast: slot ${letter} does not boot: the other one"
if itest ${slot} == 1; then setenv slot 0; else setenv slot 1; fi
run boot_slot
echo "holdfast: no slot boots: flash the card again. Restart in 30 s"
sleep 30
reset
