/* Texts of graphs for test_graph.c. */
#ifndef RWKVC_TESTS_GRAPH_TEXTS_H
#define RWKVC_TESTS_GRAPH_TEXTS_H

/* Every kind of line, as graph_print writes it. */
static const char every_kind[] =
    "graph \"for\\\"ward\\x01\"\n"
    "axis B, T, Y % 4\n"
    "random 2\n"
    "input %1 \"token\": int [B, T] below 256\n"
    "input %2 \"lr\": real f32 [] as \"rate\" scalar\n"
    "param %3 \"emb\": real bf16 [256, 16] family 0 lr 2.0 decay 0.5 frozen p"
    "romoted stored [1, 256, 16] {\n"
    "    init formula = -1.0 + real(i0)/(i1 + 1)*l0\n"
    "    member \"emb.weight\"\n"
    "}\n"
    "param %4: real [3, 16] family 1 lr 1.0 decay 0.0 {\n"
    "    init uniform\n"
    "    member \"b.0.x\" at 0, 1 (-0.1, 1e-300)\n"
    "    member \"b.1.x\" at 1, 1 (nan, inf)\n"
    "    member \"b.2.x\" at 2, 1 (0.1, 0.2)\n"
    "}\n"
    "state %5 \"S\": real f32 [B, 16, 16] family 0 {\n"
    "    member \"att.S\"\n"
    "}\n"
    "state %6 \"d\": real [B, 1, 16] family 0 delay {\n"
    "    member \"att.x\"\n"
    "}\n"
    "state none family 0 {\n"
    "    member \"gone\"\n"
    "}\n"
    "%7 \"x\": real [B, T, 16] = %3[%1[i0, i1], i2]\n"
    "%8 \"sum\": real [B, T] = sum[i2: 16] %7[i0, i1, i2]*%7[i0, i1, i2]\n"
    "%9: real [1, B, 16] = %6[i1, i0, i2]\n"
    "recur \"T\" length T reverse {\n"
    "    carry \"S\" %5 -> %10 \"S\": real f32 [B, 16, 16]\n"
    "    class {\n"
    "        arg %11 \"S\": real f32 [B, 16, 16]\n"
    "        %12 \"delayed\": real [1, B, 16] = delay %14 init %9 -> %13 \"del"
    "ayed\": real [1, B, 16]\n"
    "        %14: real [B, 16] = select(l0 + 1 < T, %7[i0, l0, i1], 0.0) + "
    "%12[0, i0, i1]\n"
    "        %15: real f32 [B, 16, 16] = %11[i0, i1, i2] + %14[i0, i1]*random(1, i0, l0)\n"
    "        next %15\n"
    "        out %14 axis 1 -> %16 \"y\": real [B, T, 16]\n"
    "    }\n"
    "}\n"
    "recur \"layers\" length 3 layers {\n"
    "    carry \"x\" %16 -> %17: real [B, T, 16]\n"
    "    class 0, 2 {\n"
    "        arg %18: real [B, T, 16]\n"
    "        %19: real [B, T, 16] = %18[i0, i1, i2] + %4[p0*2, i2]^(-2)*exp"
    "(-%18[i0, i1, i2])\n"
    "        next %19\n"
    "        out %8 axis 0 -> %20: real [2, B, T]\n"
    "    }\n"
    "    class 1 {\n"
    "        arg %21: real [B, T, 16]\n"
    "        %22: real [B, Y//2, T] = max[i3: 16, i4: T] min(%21[i0, i2, i3], 1e+30)\n"
    "        next %21\n"
    "        out %22 axis 3 -> %23: real [B, Y//2, T, 1]\n"
    "    }\n"
    "}\n"
    "%24: real [256, 16] = scatter [i0: B, i1: T, i2: 16] at [%1[i0, i1], i"
    "2] -%17[i0, i1, i2]\n"
    "%25: int [B] = argmax[i1: T] %8[i0, i1]\n"
    "%26: int [B] = -(3) + -3*(i0 - (i0 - 1))//4%(2 + i0) - (i0 == 1 and no"
    "t i0 < 2 or (i0 == 1) == 2) + {T - 1}*-i0\n"
    "%27 \"kinds\": real [B] = select(i0 == 1, 0, 0.5)*2.5\n"
    "start 2 %17\n"
    "output result \"logits\" %17\n"
    "output state \"att.S\" %10\n"
    "output metric \"m\" %26\n"
    "output grad \"emb\" %24\n";

static const char written_by_hand[] =
    "\n"
    "# a comment, blank lines, other numbers, loose spacing\n"
    "graph \"by hand\"\n"
    "\n"
    "axis T,Y%4\n"
    "input %40 \"t\":int[T]below 9   # an input\n"
    "%7:real[T]=sum[i1:(2*Y)//4+1]((exp(i0*0.5)))--1.0*{Y//2}\n"
    "%8: int [T] = let t0 = i0 + 1; t1 = t0*t0 in t1 + t0\n"
    "output result %7\n";

static const char written_by_hand_printed[] =
    "graph \"by hand\"\n"
    "axis T, Y % 4\n"
    "input %1 \"t\": int [T] below 9\n"
    "%2: real [T] = sum[i1: Y//2 + 1] exp(i0*0.5) - -1.0*{Y//2}\n"
    "%3: int [T] = (i0 + 1)*(i0 + 1) + (i0 + 1)\n"
    "output result %2\n";

static const char with_dead_parts[] =
    "graph \"dead\"\n"
    "axis T\n"
    "input %1 \"x\": real [T]\n"
    "input %2 \"unread\": real [T]\n"
    "%3 \"dead\": real [T] = exp(%1[i0])\n"
    "%4 \"zero\": real [] = 0.0\n"
    "%5 \"zero line\": real [1] = 0.0\n"
    "recur \"T\" length T {\n"
    "    carry \"a\" %4 -> %6: real []\n"
    "    carry \"b\" %4 -> %7: real []\n"
    "    carry \"c\" %4 -> %8: real []\n"
    "    class {\n"
    "        arg %9: real []\n"
    "        arg %10: real []\n"
    "        arg %11: real []\n"
    "        %12: real [] = %9[] + %10[] + %1[l0]\n"
    "        %13: real [] = %11[]*%3[l0]\n"
    "        %14 \"before\": real [1] = delay %12 init %5 -> %15: real [1]\n"
    "        %16: real [] = %14[0]\n"
    "        next %12\n"
    "        next %12\n"
    "        next %13\n"
    "        out %12 axis 0 -> %17: real [T]\n"
    "        out %13 axis 0 -> %18: real [T]\n"
    "        out %16 axis 0 -> %19: real [T]\n"
    "    }\n"
    "}\n"
    "%20: real [T] = %18[i0] + %3[i0]\n"
    "output result \"y\" %19\n";

static const char without_dead_parts[] =
    "graph \"copy\"\n"
    "axis T\n"
    "input %1 \"x\": real [T]\n"
    "input %2 \"unread\": real [T]\n"
    "%3 \"zero\": real [] = 0.0\n"
    "%4 \"zero line\": real [1] = 0.0\n"
    "recur \"T\" length T {\n"
    "    carry \"a\" %3 -> %5: real []\n"
    "    carry \"b\" %3 -> %6: real []\n"
    "    class {\n"
    "        arg %7: real []\n"
    "        arg %8: real []\n"
    "        %9: real [] = %7[] + %8[] + %1[l0]\n"
    "        %10 \"before\": real [1] = delay %9 init %4\n"
    "        %11: real [] = %10[0]\n"
    "        next %9\n"
    "        next %9\n"
    "        out %11 axis 0 -> %12: real [T]\n"
    "    }\n"
    "}\n"
    "output result \"y\" %12\n";

static const char to_be_doubled[] =
    "graph \"sums\"\n"
    "axis T\n"
    "input %1 \"x\": real [T]\n"
    "%2: real [] = 0.0\n"
    "recur \"T\" length T reverse {\n"
    "    carry \"a\" %2 -> %3: real []\n"
    "    class {\n"
    "        arg %4: real []\n"
    "        %5 \"s\": real f32 [] = sum[i0: T] %1[i0]*l0\n"
    "        %6: real [] = %4[] + %5[]\n"
    "        next %6\n"
    "    }\n"
    "}\n"
    "output result \"y\" %3\n";

static const char been_doubled[] =
    "graph \"sums\"\n"
    "axis T\n"
    "input %1 \"x\": real [T]\n"
    "%2: real [] = 0.0\n"
    "recur \"T\" length T reverse {\n"
    "    carry \"a\" %2 -> %3: real []\n"
    "    class {\n"
    "        arg %4: real []\n"
    "        %5 \"s\": real f32 [] = sum[i0: T] %1[i0]*l0\n"
    "        %6 \"s\": real [] = 2.0*%5[]\n"
    "        %7: real [] = %4[] + %6[]\n"
    "        next %7\n"
    "    }\n"
    "}\n"
    "output result \"y\" %3\n";

#define HEAD \
    "graph \"g\"\n" \
    "axis T\n" \
    "input %1 \"n\": int [T]\n" \
    "input %2 \"x\": real [T]\n"
#define IN_RECUR \
    HEAD \
    "%3: real [] = 0.0\n" \
    "recur \"T\" length T {\n" \
    "    carry %3 -> %4: real []\n" \
    "    class {\n" \
    "        arg %5: real []\n"

typedef struct Refused {
    const char *text, *error;
} Refused;

static const Refused refused[] = {
    {"",
     "line 1: expected 'graph', found the end"},
    {"graph g",
     "line 1: expected a name in quotes, found 'g'"},
    {"graph \"g\" 3",
     "line 1: expected the end of the line, found a number"},
    {"graph \"g\"\n"
     "foo\n",
     "line 2: this line starts with none of axis input param state recur start output %n"},
    {HEAD
     "%2: int [] = 1\n",
     "line 5: %2 is defined twice"},
    {HEAD
     "%0: int [] = 1\n",
     "line 5: %0 is defined twice"},
    {HEAD
     "%999999: int [] = 1\n",
     "line 5: expected a number of at most 82, found a larger one"},
    {HEAD
     "%3: int [U] = 1\n",
     "line 5: 'U' is no axis"},
    {HEAD
     "%3: int [T//0] = 1\n",
     "line 5: this size is none (division by 0, or too large)"},
    {HEAD
     "%3: int [9007199254740993] = 1\n",
     "line 5: this size is none (division by 0, or too large)"},
    {HEAD
     "%3: int [0 - 3] = 1\n",
     "line 5: in %3: the size -3"},
    {HEAD
     "%3: bool [] = 1\n",
     "line 5: expected 'real', found 'bool'"},
    {HEAD
     "%3: real f64 [] = 1.0\n",
     "line 5: 'f64' is no storage type"},
    {HEAD
     "%3: real [] = 1\n",
     "line 5: in %3: its type is not its expression's"},
    {HEAD
     "%3: real [T] = %4[i0]\n",
     "line 5: %4 is not defined here"},
    {HEAD
     "%3: real [T] = %2[]\n",
     "line 5: in %3: 0 subscripts for 1 axes"},
    {HEAD
     "%3: real [T] = %2[0.5]\n",
     "line 5: in %3: a subscript that is no int"},
    {HEAD
     "%3: real [T] = %2[i1]\n",
     "line 5: in %3: i1 is no index here"},
    {HEAD
     "%3: real [T] = %2[l0]\n",
     "line 5: in %3: l0 is no counter here"},
    {HEAD
     "%3: int [T] = select(%2[i0], 1, 2)\n",
     "line 5: in %3: a condition that is no int"},
    {HEAD
     "%3: int [T] = %2[i0]//2\n",
     "line 5: in %3: an operand of // or % that is no int"},
    {HEAD
     "%3: real [T] = random(0, i0)\n",
     "line 5: in %3: random place 0"},
    {HEAD
     "%3: real [] = sum[i1: T] %2[i1]\n",
     "line 5: expected 'i0', found 'i1'"},
    {HEAD
     "%3: real [T] = scatter [i0: T] at [%2[i0]] %2[i0]\n",
     "line 5: in %3: a place that is no int"},
    {HEAD
     "%3: real [T] = scatter [i0: T] at [] %2[i0]\n",
     "line 5: 0 places for 1 axes"},
    {HEAD
     "%3: real [T] = delay %2 init %2\n",
     "line 5: a delay outside of recurrences"},
    {HEAD
     "%3: real [] = 1.0 + (\n",
     "line 5: expected an expression, found the end of the line"},
    {HEAD
     "%3: real [] = let t1 = 1.0 in t1\n",
     "line 5: expected t0, found 't1'"},
    {HEAD
     "%3: real [] = t0\n",
     "line 5: 't0' is not known here"},
    {HEAD
     "output thing %1\n",
     "line 5: expected the kind of output"},
    {HEAD
     "output grad \"x\" %2\n",
     "line 4: in %2 \"x\": an output of no parameter or state"},
    {HEAD
     "output loss %2\n",
     "line 4: in %2 \"x\": a loss that is no scalar"},
    {HEAD
     "start 0 %2\n",
     "line 5: there is no state 0"},
    {HEAD
     "param %3: real [2] family 1 lr 1 decay 0 {\n"
     "    init formula\n"
     "    member \"a\"\n"
     "}\n",
     "line 5: in %3: 1 names for 2 members"},
    {HEAD
     "param %3: real [T] family 1 lr 1 decay 0 {\n"
     "    init formula\n"
     "    member \"a\"\n"
     "}\n",
     "line 5: in %3: a leading axis without a number"},
    {HEAD
     "param %3: real [2] family 2 lr 1 decay 0 {\n"
     "    init formula\n"
     "    member \"a\"\n"
     "}\n",
     "line 5: in %3: more leading axes than axes"},
    {HEAD
     "param %3: real [2] family 0 lr 1 decay 0 {\n"
     "    init formula = i1\n"
     "    member \"a\"\n"
     "}\n",
     "line 5: in %3: i1 is no index here"},
    {HEAD
     "param %3: real [2] family 0 lr 1 decay 0 {\n"
     "    init magic\n",
     "line 6: expected the kind of initial value"},
    {IN_RECUR
     "        next %3\n"
     "    }\n"
     "}\n"
     "%6: real [] = %5[]\n",
     "line 13: in %6: what it reads is a value that cannot be seen there"},
    {IN_RECUR
     "        %6: real [T] = %2[i0]\n"
     "        next %6\n"
     "    }\n"
     "}\n",
     "line 9: in %5: a value carried on: shapes differ"},
    {IN_RECUR
     "        %6: int [] = 1\n"
     "        next %6\n"
     "    }\n"
     "}\n",
     "line 9: in %5: a value carried on: types differ"},
    {IN_RECUR
     "    }\n"
     "}\n",
     "line 10: expected 'next', found '}'"},
    {IN_RECUR
     "        %6: real [1] = delay %5 init %7\n",
     "line 10: %7 is not defined here"},
    {IN_RECUR
     "        %6: real [] = 1.0\n"
     "        %7: real [] = delay %6 init %3\n"
     "        next %6\n"
     "    }\n"
     "}\n",
     "line 11: in %7: a delay without a depth"},
    {IN_RECUR
     "        %6: real [1] = %5[]\n"
     "        %7: real [1] = delay %5 init %6\n"
     "        next %3\n"
     "    }\n"
     "}\n",
     "line 11: in %7: a delay starts from a value of its recurrence"},
    {HEAD
     "%3: real [] = 0.0\n"
     "%8: real [1] = 0.0\n"
     "recur \"T\" length T {\n"
     "    carry %3 -> %4: real []\n"
     "    class {\n"
     "        arg %5: real []\n"
     "        %7: real [1] = delay %3 init %8\n"
     "        next %3\n"
     "    }\n"
     "}\n",
     "line 11: in %7: the source of a delay is not of the same body"},
    {HEAD
     "%3: real [] = 0.0\n"
     "%8: real [1] = 0.0\n"
     "recur \"T\" length T {\n"
     "    carry %3 -> %4: real []\n"
     "    class {\n"
     "        arg %5: real []\n"
     "        %7: real [1] = delay %9 init %8\n"
     "        next %3\n"
     "    }\n"
     "}\n",
     "line 12: %9, the source of a delay, is not defined"},
    {IN_RECUR
     "        next %5\n"
     "        out %5 axis 1 -> %6: real [T]\n",
     "line 11: axis 1 of a result that has no such axis"},
    {IN_RECUR
     "        next %5\n"
     "        out %5 axis 0 -> %6: real [T, T]\n"
     "    }\n"
     "}\n",
     "line 11: in %6: a result of a recurrence has another shape or type than its value"},
    {IN_RECUR
     "        next %5\n"
     "    }\n"
     "    class {\n"
     "        arg %6: real []\n"
     "        next %6\n"
     "    }\n"
     "}\n",
     "line 17: a recurrence along an axis has one class"},
    {HEAD
     "random 1\n"
     "param %3: real [2] family 0 lr 1 decay 0 {\n"
     "    init formula = random(0)\n"
     "    member \"a\"\n"
     "}\n",
     "line 6: in %3: a random number in a formula"},
    {HEAD
     "param %3: real [65536, 65537] family 2 lr 1 decay 0 {\n"
     "    init formula\n"
     "    member \"a\"\n"
     "}\n",
     "line 5: in %3: too many members"},
    {HEAD
     "param %3: real [2] family 1 lr 1 decay 0 {\n"
     "    init normal\n"
     "    member \"a\" (1.0)\n"
     "    member \"b\"\n"
     "}\n",
     "line 5: in %3: members without the numbers of their initial value"},
    {HEAD
     "param %3: real [2] family 1 lr 1 decay 0 {\n"
     "    init uniform\n"
     "    member \"a\" (1.0)\n"
     "    member \"b\" (1.0, 2.0)\n"
     "}\n",
     "line 5: in %3: members without the numbers of their initial value"},
    {HEAD
     "%3: int [T] = scatter [i0: T] at [i0] %2[i0]\n",
     "line 5: in %3: its type is not its expression's"},
    {HEAD
     "%3: real [] = 0.0\n"
     "%8: real [1, 2] = 0.0\n"
     "recur \"T\" length T {\n"
     "    carry %3 -> %4: real []\n"
     "    class {\n"
     "        arg %5: real []\n"
     "        %7: real [1, 2] = delay %5 init %8\n"
     "        next %3\n"
     "    }\n"
     "}\n",
     "line 11: in %7: the source of a delay has another shape or type"},
    {HEAD
     "recur length 1 layers {\n"
     "    class 0 {\n"
     "    }\n"
     "    class {\n"
     "    }\n"
     "}\n",
     "line 11: a class without iterations"},
    {HEAD
     "recur length T {\n"
     "}\n",
     "line 7: a recurrence without a class"},
    {HEAD
     "recur length T layers {\n"
     "    class {\n"
     "    }\n"
     "}\n",
     "line 9: layers without a number"},
    {HEAD
     "recur length 3 layers {\n"
     "    class 0, 1 {\n"
     "    }\n"
     "}\n",
     "line 9: the classes have not as many iterations as the recurrence"},
    {HEAD
     "recur length 2 layers {\n"
     "    class 0, 0 {\n"
     "    }\n"
     "}\n",
     "line 9: iteration 0 is not there or stands twice"},
};

#endif
