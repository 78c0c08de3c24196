extern "C" __global__ void __launch_bounds__(128) softmax_6a12c033ca735c1c(const kd_vec4<float>* __restrict__ b_x, kd_vec4<float>* __restrict__ b_y, unsigned p_x_offset, unsigned p_y_offset, unsigned p_n, unsigned p_rows) {
  const unsigned v3 = ((blockIdx.x * (128u / 32u)) + (threadIdx.x / 32u));
  const unsigned v4 = (p_n / 4u);
  if ((v3 < p_rows)) {
    float m6 = 0.0f;
    float m7 = 0.0f;
    float m8 = 0.0f;
    float m9 = 0.0f;
    if (((threadIdx.x & 31u) < v4)) {
      const kd_vec4<float> v14 = b_x[(((v3 * v4) + p_x_offset) + (threadIdx.x & 31u))];
      m6 = v14.x;
      m7 = v14.y;
      m8 = v14.z;
      m9 = v14.w;
    }
    float m19 = 0.0f;
    float m20 = 0.0f;
    float m21 = 0.0f;
    float m22 = 0.0f;
    const unsigned v23 = ((threadIdx.x & 31u) + 32u);
    if ((v23 < v4)) {
      const kd_vec4<float> v28 = b_x[(((v3 * v4) + p_x_offset) + v23)];
      m19 = v28.x;
      m20 = v28.y;
      m21 = v28.z;
      m22 = v28.w;
    }
    float m33 = 0.0f;
    float m34 = 0.0f;
    float m35 = 0.0f;
    float m36 = 0.0f;
    const unsigned v38 = ((threadIdx.x & 31u) + (32u * 2u));
    if ((v38 < v4)) {
      const kd_vec4<float> v43 = b_x[(((v3 * v4) + p_x_offset) + v38)];
      m33 = v43.x;
      m34 = v43.y;
      m35 = v43.z;
      m36 = v43.w;
    }
    float m48 = 0.0f;
    float m49 = 0.0f;
    float m50 = 0.0f;
    float m51 = 0.0f;
    const unsigned v53 = ((threadIdx.x & 31u) + (32u * 3u));
    if ((v53 < v4)) {
      const kd_vec4<float> v58 = b_x[(((v3 * v4) + p_x_offset) + v53)];
      m48 = v58.x;
      m49 = v58.y;
      m50 = v58.z;
      m51 = v58.w;
    }
    float m63 = (-3.4028234663852886e+38f);
    if (((threadIdx.x & 31u) < v4)) {
      const float v65 = m6;
      const float v66 = m7;
      const float v67 = m8;
      const float v68 = m9;
      const float v69 = m63;
      const float v71 = ((v65 > v69) ? v65 : v69);
      const float v73 = ((v66 > v71) ? v66 : v71);
      const float v75 = ((v67 > v73) ? v67 : v73);
      m63 = ((v68 > v75) ? v68 : v75);
    }
    if ((((threadIdx.x & 31u) + 32u) < v4)) {
      const float v80 = m19;
      const float v81 = m20;
      const float v82 = m21;
      const float v83 = m22;
      const float v84 = m63;
      const float v86 = ((v80 > v84) ? v80 : v84);
      const float v88 = ((v81 > v86) ? v81 : v86);
      const float v90 = ((v82 > v88) ? v82 : v88);
      m63 = ((v83 > v90) ? v83 : v90);
    }
    if ((((threadIdx.x & 31u) + (32u * 2u)) < v4)) {
      const float v96 = m33;
      const float v97 = m34;
      const float v98 = m35;
      const float v99 = m36;
      const float v100 = m63;
      const float v102 = ((v96 > v100) ? v96 : v100);
      const float v104 = ((v97 > v102) ? v97 : v102);
      const float v106 = ((v98 > v104) ? v98 : v104);
      m63 = ((v99 > v106) ? v99 : v106);
    }
    if ((((threadIdx.x & 31u) + (32u * 3u)) < v4)) {
      const float v112 = m48;
      const float v113 = m49;
      const float v114 = m50;
      const float v115 = m51;
      const float v116 = m63;
      const float v118 = ((v112 > v116) ? v112 : v116);
      const float v120 = ((v113 > v118) ? v113 : v118);
      const float v122 = ((v114 > v120) ? v114 : v120);
      m63 = ((v115 > v122) ? v115 : v122);
    }
    const float v125 = m63;
    const float v126 = kd_reduce<kd_max_fold>(32u, v125);
    const float v127 = kd_min(v126, 3.4028234663852886e+38f);
    float m128 = 0.0f;
    if (((threadIdx.x & 31u) < v4)) {
      const float v130 = m6;
      const float v131 = m7;
      const float v132 = m8;
      const float v133 = m9;
      const float v134 = (v130 - v127);
      const unsigned v139 = kd_bitcast<unsigned>(v134);
      const float v144 = ((((v139 & 2147483647u) >= 2139095040u) && (v139 != 4286578688u)) ? v134 : ((v134 < (-87.0f)) ? 0.0f : kd_exp2_fast((v134 * 1.4426950216293335f))));
      const float v145 = (v131 - v127);
      const unsigned v150 = kd_bitcast<unsigned>(v145);
      const float v155 = ((((v150 & 2147483647u) >= 2139095040u) && (v150 != 4286578688u)) ? v145 : ((v145 < (-87.0f)) ? 0.0f : kd_exp2_fast((v145 * 1.4426950216293335f))));
      const float v156 = (v132 - v127);
      const unsigned v161 = kd_bitcast<unsigned>(v156);
      const float v166 = ((((v161 & 2147483647u) >= 2139095040u) && (v161 != 4286578688u)) ? v156 : ((v156 < (-87.0f)) ? 0.0f : kd_exp2_fast((v156 * 1.4426950216293335f))));
      const float v167 = (v133 - v127);
      const unsigned v172 = kd_bitcast<unsigned>(v167);
      const float v177 = ((((v172 & 2147483647u) >= 2139095040u) && (v172 != 4286578688u)) ? v167 : ((v167 < (-87.0f)) ? 0.0f : kd_exp2_fast((v167 * 1.4426950216293335f))));
      const float v178 = m128;
      m128 = (v178 + ((v144 + v155) + (v166 + v177)));
    }
    if ((((threadIdx.x & 31u) + 32u) < v4)) {
      const float v185 = m19;
      const float v186 = m20;
      const float v187 = m21;
      const float v188 = m22;
      const float v189 = (v185 - v127);
      const unsigned v194 = kd_bitcast<unsigned>(v189);
      const float v199 = ((((v194 & 2147483647u) >= 2139095040u) && (v194 != 4286578688u)) ? v189 : ((v189 < (-87.0f)) ? 0.0f : kd_exp2_fast((v189 * 1.4426950216293335f))));
      const float v200 = (v186 - v127);
      const unsigned v205 = kd_bitcast<unsigned>(v200);
      const float v210 = ((((v205 & 2147483647u) >= 2139095040u) && (v205 != 4286578688u)) ? v200 : ((v200 < (-87.0f)) ? 0.0f : kd_exp2_fast((v200 * 1.4426950216293335f))));
      const float v211 = (v187 - v127);
      const unsigned v216 = kd_bitcast<unsigned>(v211);
      const float v221 = ((((v216 & 2147483647u) >= 2139095040u) && (v216 != 4286578688u)) ? v211 : ((v211 < (-87.0f)) ? 0.0f : kd_exp2_fast((v211 * 1.4426950216293335f))));
      const float v222 = (v188 - v127);
      const unsigned v227 = kd_bitcast<unsigned>(v222);
      const float v232 = ((((v227 & 2147483647u) >= 2139095040u) && (v227 != 4286578688u)) ? v222 : ((v222 < (-87.0f)) ? 0.0f : kd_exp2_fast((v222 * 1.4426950216293335f))));
      const float v233 = m128;
      m128 = (v233 + ((v199 + v210) + (v221 + v232)));
    }
    if ((((threadIdx.x & 31u) + (32u * 2u)) < v4)) {
      const float v241 = m33;
      const float v242 = m34;
      const float v243 = m35;
      const float v244 = m36;
      const float v245 = (v241 - v127);
      const unsigned v250 = kd_bitcast<unsigned>(v245);
      const float v255 = ((((v250 & 2147483647u) >= 2139095040u) && (v250 != 4286578688u)) ? v245 : ((v245 < (-87.0f)) ? 0.0f : kd_exp2_fast((v245 * 1.4426950216293335f))));
      const float v256 = (v242 - v127);
      const unsigned v261 = kd_bitcast<unsigned>(v256);
      const float v266 = ((((v261 & 2147483647u) >= 2139095040u) && (v261 != 4286578688u)) ? v256 : ((v256 < (-87.0f)) ? 0.0f : kd_exp2_fast((v256 * 1.4426950216293335f))));
      const float v267 = (v243 - v127);
      const unsigned v272 = kd_bitcast<unsigned>(v267);
      const float v277 = ((((v272 & 2147483647u) >= 2139095040u) && (v272 != 4286578688u)) ? v267 : ((v267 < (-87.0f)) ? 0.0f : kd_exp2_fast((v267 * 1.4426950216293335f))));
      const float v278 = (v244 - v127);
      const unsigned v283 = kd_bitcast<unsigned>(v278);
      const float v288 = ((((v283 & 2147483647u) >= 2139095040u) && (v283 != 4286578688u)) ? v278 : ((v278 < (-87.0f)) ? 0.0f : kd_exp2_fast((v278 * 1.4426950216293335f))));
      const float v289 = m128;
      m128 = (v289 + ((v255 + v266) + (v277 + v288)));
    }
    if ((((threadIdx.x & 31u) + (32u * 3u)) < v4)) {
      const float v297 = m48;
      const float v298 = m49;
      const float v299 = m50;
      const float v300 = m51;
      const float v301 = (v297 - v127);
      const unsigned v306 = kd_bitcast<unsigned>(v301);
      const float v311 = ((((v306 & 2147483647u) >= 2139095040u) && (v306 != 4286578688u)) ? v301 : ((v301 < (-87.0f)) ? 0.0f : kd_exp2_fast((v301 * 1.4426950216293335f))));
      const float v312 = (v298 - v127);
      const unsigned v317 = kd_bitcast<unsigned>(v312);
      const float v322 = ((((v317 & 2147483647u) >= 2139095040u) && (v317 != 4286578688u)) ? v312 : ((v312 < (-87.0f)) ? 0.0f : kd_exp2_fast((v312 * 1.4426950216293335f))));
      const float v323 = (v299 - v127);
      const unsigned v328 = kd_bitcast<unsigned>(v323);
      const float v333 = ((((v328 & 2147483647u) >= 2139095040u) && (v328 != 4286578688u)) ? v323 : ((v323 < (-87.0f)) ? 0.0f : kd_exp2_fast((v323 * 1.4426950216293335f))));
      const float v334 = (v300 - v127);
      const unsigned v339 = kd_bitcast<unsigned>(v334);
      const float v344 = ((((v339 & 2147483647u) >= 2139095040u) && (v339 != 4286578688u)) ? v334 : ((v334 < (-87.0f)) ? 0.0f : kd_exp2_fast((v334 * 1.4426950216293335f))));
      const float v345 = m128;
      m128 = (v345 + ((v311 + v322) + (v333 + v344)));
    }
    const float v350 = m128;
    const float v351 = kd_reduce<kd_add_fold>(32u, v350);
    const float v358 = ((((kd_bitcast<unsigned>(v351) & 2147483647u) < 2139095040u) && (kd_bitcast<unsigned>(v351) != 0u)) ? v351 : __uint_as_float(0x7fc00000u));
    const float v359 = (1.0f / v358);
    if (((threadIdx.x & 31u) < v4)) {
      const float v361 = m6;
      const float v362 = m7;
      const float v363 = m8;
      const float v364 = m9;
      const float v365 = (v361 - v127);
      const unsigned v370 = kd_bitcast<unsigned>(v365);
      const float v375 = ((((v370 & 2147483647u) >= 2139095040u) && (v370 != 4286578688u)) ? v365 : ((v365 < (-87.0f)) ? 0.0f : kd_exp2_fast((v365 * 1.4426950216293335f))));
      const float v377 = (v362 - v127);
      const unsigned v382 = kd_bitcast<unsigned>(v377);
      const float v387 = ((((v382 & 2147483647u) >= 2139095040u) && (v382 != 4286578688u)) ? v377 : ((v377 < (-87.0f)) ? 0.0f : kd_exp2_fast((v377 * 1.4426950216293335f))));
      const float v389 = (v363 - v127);
      const unsigned v394 = kd_bitcast<unsigned>(v389);
      const float v399 = ((((v394 & 2147483647u) >= 2139095040u) && (v394 != 4286578688u)) ? v389 : ((v389 < (-87.0f)) ? 0.0f : kd_exp2_fast((v389 * 1.4426950216293335f))));
      const float v401 = (v364 - v127);
      const unsigned v406 = kd_bitcast<unsigned>(v401);
      const float v411 = ((((v406 & 2147483647u) >= 2139095040u) && (v406 != 4286578688u)) ? v401 : ((v401 < (-87.0f)) ? 0.0f : kd_exp2_fast((v401 * 1.4426950216293335f))));
      b_y[(((v3 * v4) + p_y_offset) + (threadIdx.x & 31u))] = kd_vec4<float>{(v375 * v359), (v387 * v359), (v399 * v359), (v411 * v359)};
    }
    const unsigned v417 = ((threadIdx.x & 31u) + 32u);
    if ((v417 < v4)) {
      const float v419 = m19;
      const float v420 = m20;
      const float v421 = m21;
      const float v422 = m22;
      const float v423 = (v419 - v127);
      const unsigned v428 = kd_bitcast<unsigned>(v423);
      const float v433 = ((((v428 & 2147483647u) >= 2139095040u) && (v428 != 4286578688u)) ? v423 : ((v423 < (-87.0f)) ? 0.0f : kd_exp2_fast((v423 * 1.4426950216293335f))));
      const float v435 = (v420 - v127);
      const unsigned v440 = kd_bitcast<unsigned>(v435);
      const float v445 = ((((v440 & 2147483647u) >= 2139095040u) && (v440 != 4286578688u)) ? v435 : ((v435 < (-87.0f)) ? 0.0f : kd_exp2_fast((v435 * 1.4426950216293335f))));
      const float v447 = (v421 - v127);
      const unsigned v452 = kd_bitcast<unsigned>(v447);
      const float v457 = ((((v452 & 2147483647u) >= 2139095040u) && (v452 != 4286578688u)) ? v447 : ((v447 < (-87.0f)) ? 0.0f : kd_exp2_fast((v447 * 1.4426950216293335f))));
      const float v459 = (v422 - v127);
      const unsigned v464 = kd_bitcast<unsigned>(v459);
      const float v469 = ((((v464 & 2147483647u) >= 2139095040u) && (v464 != 4286578688u)) ? v459 : ((v459 < (-87.0f)) ? 0.0f : kd_exp2_fast((v459 * 1.4426950216293335f))));
      b_y[(((v3 * v4) + p_y_offset) + v417)] = kd_vec4<float>{(v433 * v359), (v445 * v359), (v457 * v359), (v469 * v359)};
    }
    const unsigned v476 = ((threadIdx.x & 31u) + (32u * 2u));
    if ((v476 < v4)) {
      const float v478 = m33;
      const float v479 = m34;
      const float v480 = m35;
      const float v481 = m36;
      const float v482 = (v478 - v127);
      const unsigned v487 = kd_bitcast<unsigned>(v482);
      const float v492 = ((((v487 & 2147483647u) >= 2139095040u) && (v487 != 4286578688u)) ? v482 : ((v482 < (-87.0f)) ? 0.0f : kd_exp2_fast((v482 * 1.4426950216293335f))));
      const float v494 = (v479 - v127);
      const unsigned v499 = kd_bitcast<unsigned>(v494);
      const float v504 = ((((v499 & 2147483647u) >= 2139095040u) && (v499 != 4286578688u)) ? v494 : ((v494 < (-87.0f)) ? 0.0f : kd_exp2_fast((v494 * 1.4426950216293335f))));
      const float v506 = (v480 - v127);
      const unsigned v511 = kd_bitcast<unsigned>(v506);
      const float v516 = ((((v511 & 2147483647u) >= 2139095040u) && (v511 != 4286578688u)) ? v506 : ((v506 < (-87.0f)) ? 0.0f : kd_exp2_fast((v506 * 1.4426950216293335f))));
      const float v518 = (v481 - v127);
      const unsigned v523 = kd_bitcast<unsigned>(v518);
      const float v528 = ((((v523 & 2147483647u) >= 2139095040u) && (v523 != 4286578688u)) ? v518 : ((v518 < (-87.0f)) ? 0.0f : kd_exp2_fast((v518 * 1.4426950216293335f))));
      b_y[(((v3 * v4) + p_y_offset) + v476)] = kd_vec4<float>{(v492 * v359), (v504 * v359), (v516 * v359), (v528 * v359)};
    }
    const unsigned v535 = ((threadIdx.x & 31u) + (32u * 3u));
    if ((v535 < v4)) {
      const float v537 = m48;
      const float v538 = m49;
      const float v539 = m50;
      const float v540 = m51;
      const float v541 = (v537 - v127);
      const unsigned v546 = kd_bitcast<unsigned>(v541);
      const float v551 = ((((v546 & 2147483647u) >= 2139095040u) && (v546 != 4286578688u)) ? v541 : ((v541 < (-87.0f)) ? 0.0f : kd_exp2_fast((v541 * 1.4426950216293335f))));
      const float v553 = (v538 - v127);
      const unsigned v558 = kd_bitcast<unsigned>(v553);
      const float v563 = ((((v558 & 2147483647u) >= 2139095040u) && (v558 != 4286578688u)) ? v553 : ((v553 < (-87.0f)) ? 0.0f : kd_exp2_fast((v553 * 1.4426950216293335f))));
      const float v565 = (v539 - v127);
      const unsigned v570 = kd_bitcast<unsigned>(v565);
      const float v575 = ((((v570 & 2147483647u) >= 2139095040u) && (v570 != 4286578688u)) ? v565 : ((v565 < (-87.0f)) ? 0.0f : kd_exp2_fast((v565 * 1.4426950216293335f))));
      const float v577 = (v540 - v127);
      const unsigned v582 = kd_bitcast<unsigned>(v577);
      const float v587 = ((((v582 & 2147483647u) >= 2139095040u) && (v582 != 4286578688u)) ? v577 : ((v577 < (-87.0f)) ? 0.0f : kd_exp2_fast((v577 * 1.4426950216293335f))));
      b_y[(((v3 * v4) + p_y_offset) + v535)] = kd_vec4<float>{(v551 * v359), (v563 * v359), (v575 * v359), (v587 * v359)};
    }
  }
}
