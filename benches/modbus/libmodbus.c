/* Requests of one register on one connection by libmodbus: libmodbus PORT. */

#include <modbus/modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    modbus_t *client = modbus_new_tcp("127.0.0.1", atoi(words[1]));
    if (client == NULL || modbus_set_slave(client, 1) != 0 || modbus_connect(client) != 0)
        return 1;
    double start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    long done = 0;
    while (now(CLOCK_MONOTONIC) - start < 3) {
        for (int at = 0; at < 100; at++) {
            uint16_t value;
            if (modbus_read_registers(client, at, 1, &value) != 1)
                return 1;
            done++;
        }
    }
    start = now(CLOCK_MONOTONIC) - start;
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.0f requests/s %.0f requests/cpu-s\n", (double)done / start, (double)done / cpu);
    modbus_close(client);
    modbus_free(client);
    return 0;
}
