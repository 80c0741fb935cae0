/*
 * The timing arithmetic of a configuration, told line by line.
 *
 * The failover bound needs times that no file can know. They are estimates, printed as such:
 *   link round trip  5 ms: switched Ethernet takes below 1 ms, a busy board some more;
 *   store sync      20 ms: fdatasync of one small record on eMMC or a good SD card (a poor card takes
 *                          hundreds; the console's `issuers` shows what is measured);
 *   wake-up          5 ms: an ordinary process on a busy board gets the processor late.
 */
#include "conf/conf.h"
#include "conf/ms.h"

enum { LINK_ROUND_TRIP_MS = 5, STORE_SYNC_MS = 20, WAKE_UP_MS = 5 };

static uint32_t slowest_readback_ms(const struct conf_resource *res)
{
    uint32_t slowest_ms = 0;
    for (size_t i = 0; i < res->output_count; i++) {
        if (res->output[i].has_readback && res->output[i].readback_within_ms > slowest_ms)
            slowest_ms = res->output[i].readback_within_ms;
    }
    return slowest_ms;
}

/* The grant is appended to a majority (one round trip, one sync there) and pushed (another). */
static struct span grant_estimate(void)
{
    return span_from_ms(2 * LINK_ROUND_TRIP_MS + STORE_SYNC_MS + WAKE_UP_MS);
}

struct timing_bound conf_failover_bound(const struct conf *conf, const struct conf_resource *res)
{
    /* The renewal goes to the leader and back, and the leader's round to a majority and back. */
    struct span renewal = span_from_ms(2 * LINK_ROUND_TRIP_MS + WAKE_UP_MS);
    struct span energise = span_from_ms(WAKE_UP_MS + slowest_readback_ms(res));
    return timing_failover_bound(span_from_ms(res->ttl_ms), res->fence, conf->drift_ppm,
                                 grant_estimate(), renewal, energise);
}

struct span conf_failover_bound_leader(const struct conf *conf, const struct conf_resource *res)
{
    struct span election = span_from_ms(2 * (int64_t)conf->election_ms);
    struct span total = conf_failover_bound(conf, res).total;
    return span_add(total, span_add(election, grant_estimate()));
}

/* What one resource's arithmetic comes to. */
struct sums {
    struct span ttl;
    struct span release;
    struct span held;     /* T*(1-rho) */
    struct span deadline; /* less r */
    struct span interval;
    struct span free; /* (T+F)*(1+rho) */
    struct span advised;
    struct span delay; /* of the leader's links, one way, that costs nothing */
    struct timing_bound bound;
    struct span leader_total;
};

static struct sums sums_of(const struct conf *conf, const struct conf_resource *res)
{
    struct sums sums = { .ttl = span_from_ms(res->ttl_ms),
                         .release = span_from_ms(res->release_ms) };
    const struct instant zero = { 0 };
    sums.held = timing_shrink(sums.ttl, conf->drift_ppm);
    sums.deadline =
        instant_diff(timing_holder_deadline(zero, sums.ttl, conf->drift_ppm, sums.release), zero);
    sums.interval = timing_renew_interval(sums.ttl);
    sums.free = instant_diff(timing_issuer_free(zero, sums.ttl, res->fence, conf->drift_ppm), zero);
    sums.advised =
        timing_recommended_ttl(span_from_ms(conf->election_ms), span_from_ms(conf->heartbeat_ms),
                               sums.release, conf->drift_ppm);
    sums.delay = timing_bearable_delay(sums.ttl, span_from_ms(conf->heartbeat_ms), sums.release,
                                       conf->drift_ppm);
    sums.bound = conf_failover_bound(conf, res);
    sums.leader_total = conf_failover_bound_leader(conf, res);
    return sums;
}

/* The column of labels is as wide as the longest one: outputs have names of any length. */
struct table {
    FILE *out;
    int label_width;
};

enum { LABELS_OWN = 28 }; /* of the longest one that is always there */

#define OUTPUT_LABEL "   %s"

static int label_width(const struct conf *conf)
{
    int width = LABELS_OWN;
    for (size_t i = 0; i < conf->resource_count; i++) {
        const struct conf_resource *res = &conf->resource[i];
        for (size_t j = 0; j < res->output_count; j++) {
            int length = snprintf(NULL, 0, OUTPUT_LABEL, res->output[j].name.text);
            width = length > width ? length : width;
        }
    }
    return width;
}

static void row(const struct table *table, const char *label, struct span span, const char *why)
{
    fprintf(table->out, "  %-*s %12s ms   %s\n", table->label_width, label, conf_ms(span).text,
            why);
}

static void print_output(const struct conf *conf, const struct conf_output *output,
                         const struct table *table)
{
    char label[64];
    char why[160];
    snprintf(label, sizeof(label), OUTPUT_LABEL, output->name.text);
    if (output->kind == CONF_OUTPUT_PULSE)
        snprintf(why, sizeof(why),
                 "pulse: drops hold_ms after the last edge; covers death and "
                 "hang of guard and kernel");
    else if (output->covers == CONF_COVERS_PROCESS)
        snprintf(why, sizeof(why),
                 "gpio: covers the guard's death alone, no hang of guard or "
                 "kernel");
    else
        snprintf(why, sizeof(why), "gpio: watchdog %u + %s %u + reset %u; covers a kernel hang",
                 conf->watchdog_timeout_ms,
                 conf->watchdog_close_pings ? "one more, closing pings it," : "no ping on close",
                 conf->watchdog_close_pings ? conf->watchdog_timeout_ms : 0, output->reset_ms);
    row(table, label, conf_output_fence(conf, output), why);
}

static void print_bound(const struct sums *sums, uint32_t election_ms, const struct table *table)
{
    const struct timing_bound *bound = &sums->bound;
    char why[160];
    fprintf(table->out, "  failover bound, from a board's death to the next board driving\n");
    row(table, "   lease", bound->lease, "(T + F) * (1 + rho)");
    snprintf(why, sizeof(why), "estimate: 2 link round trips of %d + store sync %d + wake-up %d",
             LINK_ROUND_TRIP_MS, STORE_SYNC_MS, WAKE_UP_MS);
    row(table, "   + grant", bound->grant, why);
    snprintf(why, sizeof(why), "estimate: 2 link round trips of %d + wake-up %d",
             LINK_ROUND_TRIP_MS, WAKE_UP_MS);
    row(table, "   + first renewal", bound->renewal, why);
    snprintf(why, sizeof(why), "estimate: wake-up %d + slowest readback", WAKE_UP_MS);
    row(table, "   + energise", bound->energise, why);
    row(table, "   = failover bound", bound->total, "the board did not lead the issuers");
    snprintf(why, sizeof(why), "it led them: + 2 elections of %u + a commit, the wait starts anew",
             election_ms);
    row(table, "   = failover bound, leader", sums->leader_total, why);
}

static void print_resource(const struct conf *conf, const struct conf_resource *res,
                           const struct table *table)
{
    struct sums sums = sums_of(conf, res);
    char why[200];
    fprintf(table->out, "\nresource %s\n", res->name.text);
    row(table, "T  ttl", sums.ttl, "ttl_ms");
    row(table, "r  release", sums.release, "release_ms: guard's decision to outputs off");
    row(table, "F  fence latency", res->fence, "the largest of its outputs:");
    for (size_t i = 0; i < res->output_count; i++)
        print_output(conf, &res->output[i], table);
    snprintf(why, sizeof(why), "T / %d", TIMING_RENEWALS_PER_TTL);
    row(table, "renew interval", sums.interval, why);
    snprintf(why, sizeof(why), "t0 + T * (1 - rho) - r = t0 + %s - %s, t0: renewal sent",
             conf_ms(sums.held).text, conf_ms(sums.release).text);
    row(table, "holder's deadline, t0 +", sums.deadline, why);
    snprintf(why, sizeof(why),
             "t1 + (T + F) * (1 + rho) = t1 + (%s + %s) * (1 + %u ppm), "
             "t1: it was confirmed",
             conf_ms(sums.ttl).text, conf_ms(res->fence).text, conf->drift_ppm);
    row(table, "issuer frees it, t1 +", sums.free, why);
    row(table, "recommended ttl, at least", sums.advised,
        sums.ttl.us < sums.advised.us ?
            "T is BELOW it: losing the issuer leader may cost a healthy holder its lease" :
            "T is above it: losing the issuer leader costs no healthy holder its lease");
    row(table, "slow leader borne, one way", sums.delay,
        "(T * (1 - rho) - r - renew interval - heartbeat) / 4: a round takes four ways");
    print_bound(&sums, conf->election_ms, table);
}

static void print_text(const struct conf *conf, FILE *out)
{
    const struct table table = { .out = out, .label_width = label_width(conf) };
    fprintf(out, "timing of node %s in cluster %s\n", conf->node_id.text, conf->cluster_name.text);
    row(&table, "heartbeat", span_from_ms(conf->heartbeat_ms), "heartbeat_ms");
    row(&table, "election timeout", span_from_ms(conf->election_ms), "election_ms, at the least");
    fprintf(out, "  %-*s %12u ppm  drift_ppm: how far a clock's rate may be off\n",
            table.label_width, "rho", conf->drift_ppm);
    for (size_t i = 0; i < conf->resource_count; i++)
        print_resource(conf, &conf->resource[i], &table);
    if (conf->resource_count == 0)
        fprintf(out, "\nno resources: this node drives nothing\n");
}

static void print_resource_json(const struct conf *conf, const struct conf_resource *res, FILE *out)
{
    struct sums sums = sums_of(conf, res);
    fprintf(out,
            "{\"resource\":\"%s\",\"ttl_ms\":%u,\"release_ms\":%u,\"fence_ms\":%s,\"outputs\":[",
            res->name.text, res->ttl_ms, res->release_ms, conf_ms(res->fence).text);
    for (size_t i = 0; i < res->output_count; i++) {
        const struct conf_output *output = &res->output[i];
        bool process = output->kind == CONF_OUTPUT_GPIO && output->covers == CONF_COVERS_PROCESS;
        fprintf(out, "%s{\"name\":\"%s\",\"kind\":\"%s\",\"covers\":\"%s\",\"fence_ms\":%s}",
                i > 0 ? "," : "", output->name.text,
                output->kind == CONF_OUTPUT_PULSE ? "pulse" : "gpio",
                process ? "process" : "kernel", conf_ms(conf_output_fence(conf, output)).text);
    }
    fprintf(out, "],\"renew_interval_ms\":%s,\"deadline_ms\":%s,\"free_ms\":%s,",
            conf_ms(sums.interval).text, conf_ms(sums.deadline).text, conf_ms(sums.free).text);
    fprintf(out, "\"recommended_ttl_ms\":%s,\"bearable_delay_ms\":%s,\"bound\":{\"lease_ms\":%s,",
            conf_ms(sums.advised).text, conf_ms(sums.delay).text, conf_ms(sums.bound.lease).text);
    fprintf(out, "\"grant_ms\":%s,", conf_ms(sums.bound.grant).text);
    fprintf(out, "\"renewal_ms\":%s,\"energise_ms\":%s,\"total_ms\":%s,\"leader_total_ms\":%s}}",
            conf_ms(sums.bound.renewal).text, conf_ms(sums.bound.energise).text,
            conf_ms(sums.bound.total).text, conf_ms(sums.leader_total).text);
}

void conf_print_budget(const struct conf *conf, FILE *out, bool json)
{
    if (!json) {
        print_text(conf, out);
        return;
    }
    fprintf(out, "{\"node\":\"%s\",\"cluster\":\"%s\",\"heartbeat_ms\":%u,\"election_ms\":%u,",
            conf->node_id.text, conf->cluster_name.text, conf->heartbeat_ms, conf->election_ms);
    fprintf(out, "\"drift_ppm\":%u,\"resources\":[", conf->drift_ppm);
    for (size_t i = 0; i < conf->resource_count; i++) {
        if (i > 0)
            fputc(',', out);
        print_resource_json(conf, &conf->resource[i], out);
    }
    fprintf(out, "]}\n");
}
